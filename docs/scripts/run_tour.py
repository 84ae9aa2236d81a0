"""Run docs/tour.ipynb and store what it shows: python docs/scripts/run_tour.py

Needs nbclient and ipykernel: pip install -c constraints.txt -e ".[test]".
"""

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).parents[1] / "tour.ipynb"


def executed(folder: str | Path) -> Any:
    """The notebook after running all of its cells in a folder, with what they show."""
    notebook = nbformat.read(TOUR, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of the day
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _shows(output)]
    return notebook


def _shows(output: Any) -> bool:
    """Whether a reader wants to see it: not the greetings of TensorFlow, nor an empty page."""
    if output.output_type == "stream":
        return output.name == "stdout"
    return "image/png" in output.get("data", {})


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(executed(folder), TOUR)
    print(TOUR)


if __name__ == "__main__":
    main()
