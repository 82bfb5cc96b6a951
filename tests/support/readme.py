"""What the README shows, for tests that do as it says."""
import pathlib

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def progress_class():
    """The Python class with which a program says how far it is, with its imports."""
    before, behind = README.read_text(encoding="utf-8").split("class Progress:", 1)
    return before.rsplit("```python\n", 1)[1] + "class Progress:" + behind.split("```", 1)[0]
