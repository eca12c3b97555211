"""A method that asks for less than it uses. It shows what `needs` does."""

from emobridge.methods.source_only import SourceOnly


class Peeking(SourceOnly):
    """It needs the labelled source alone, and looks at the target."""

    needs = frozenset({"source_labels"})

    def examples(self, epoch, predict, generator):
        print("the target that this method sees:", self.task.target)
        return super().examples(epoch, predict, generator)
