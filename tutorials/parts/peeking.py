"""A method that asks for less than it looks at. It shows what `needs` does."""

from emobridge.methods.source_only import SourceOnly


class Peeking(SourceOnly):
    """It needs the labelled source alone, and looks at the target."""

    needs = frozenset({"source_labels"})

    def prepare(self, task, model):
        print("the target that this method sees:", task.target)
        return super().prepare(task, model)
