"""The pages for readers; the package has those that it shows itself: diagnostics.md."""
