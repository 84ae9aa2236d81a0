"""The theorems that a page names, as docs/mathematics.md states them.

A page may be opened far from that file, so it has the statements itself.
"""

from lstmlab.explain.page import Formula, Page

# {number: (name, statement)}; between dollar signs LaTeX
THEOREMS = {
    2: (
        "the bound of 1991",
        r"Every entry of the back flow is in magnitude at most "
        r"$(f'_{\mathrm{max}} \lVert R \rVert)^q$, and the sum of the magnitudes "
        r"over all $n$ units $u$ at most "
        r"$n (f'_{\mathrm{max}} \lVert R \rVert)^q$.",
    ),
    8: (
        "one factor",
        r"With the values of all gates and candidates held, $s_T = \left(\prod_{t=1}^{T} "
        r"e_t\right) \odot s_0 + \sum_{t=1}^{T} \left(\prod_{r=t+1}^{T} e_r\right) \odot i_t "
        r"\odot g_t$, so that the share of $s_0$ that is left in $s_T$ is $\partial s_T / \partial "
        r"s_0 = \mathrm{diag}(\prod e_t)$, cell by cell. No choice of $i$, $g$, $o$ or $q$, inside "
        r"$[0, 1]$ or outside, changes it.",
    ),
    10: (
        "the split",
        r"(a) The total derivative of one state with respect to the one before is, exactly, "
        r"$\frac{d s_t}{d s_{t-1}} = \mathrm{diag}(e_t) + N_t$, where $N_t$ collects everything "
        r"that goes through the pre-activations of step $t$, and is 0 where these read neither "
        r"outputs nor states. (b) The product of (a) over two steps is not the derivative over two "
        r"steps. What does multiply is the derivative of all that a step hands on, $z_t$: "
        r"$\frac{d z_T}{d z_r} = J_T\,J_{T-1} \cdots J_{r+1}$ with $J_t = \frac{\partial "
        r"z_t}{\partial z_{t-1}}$. The products of (a) are exact where no detour exists.",
    ),
    12: (
        "erasing by addition",
        r"In a cell without a forget gate, with a bounded candidate and an input gate of at most "
        r"1, $|s_t - s_{t-1}| \le i_t g_{\max} \le g_{\max}$: whatever its gates do, erasing a "
        r"state of size $S$ takes at least $S / g_{\max}$ steps; with a forget gate of 0 it takes "
        r"one.",
    ),
}


def state(page: Page) -> None:
    """Add the statements of the theorems that the page names."""
    numbers = page.theorems()
    if not numbers:
        return
    page.heading("The theorems named here")
    for number in numbers:
        name, statement = THEOREMS[number]
        page.theorem(number, name, *_pieces(statement))
    page.paragraph(
        Formula("e_t"),
        " is the factor on the old state: the forget gate, the constant 1 where there is none, and "
        "0 without a carousel. Proofs and tests are in docs/mathematics.md of lstmlab.",
        note=True,
    )


def _pieces(statement: str) -> list:
    """Text and Formulas by turns."""
    return [
        Formula(piece) if k % 2 else piece for k, piece in enumerate(statement.split("$")) if piece
    ]
