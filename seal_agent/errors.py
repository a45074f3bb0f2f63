"""Every error a user can meet. Each message is one sentence that says what is wrong, and the fix."""


class SealError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""


class InputError(SealError, ValueError):
    """The caller gave something unusable: an empty passage, a bad name, an unknown option."""


class TooLongError(InputError):
    """A prompt and its completion do not fit into the model's window together."""


class ModelError(SealError):
    """The base model could not be found or loaded."""


class AdapterError(SealError):
    """An adapter is missing, damaged, or was made for another base model."""


class StoreError(SealError):
    """The adapter store could not be read or written."""


class BudgetError(SealError):
    """A limit on adaptations, seconds, tokens or disk was reached; nothing was trained."""


class TrainingError(SealError):
    """The inner loop failed; nothing was saved."""


class NothingToLearnError(TrainingError, InputError):
    """A text has no token that could be learnt. It fails alone; what is trained beside it is kept."""


class EngineError(SealError):
    """The engine that answers failed, such as a vLLM server that cannot be reached; nothing was graded."""


class CollapseError(SealError):
    """A model that rewards itself has begun to do so for nothing; the outer loop was stopped."""


class BaseModelWarning(UserWarning):
    """An adapter is used with settings of its base model that are not those it was trained with."""


class PartlyTrainedWarning(BaseModelWarning):
    """Adapters leave out a large part of the base model, such as experts that are held as one parameter."""


class PolicyWarning(UserWarning):
    """A policy was finetuned on a text that has been forgotten since; its weights may still hold something of it."""


class JudgeWarning(UserWarning):
    """A judge gave no verdict; what it was asked counts as not graded."""


class MissingDependency(SealError, ImportError):
    """An optional package is not installed; the message names the install command."""


def first_line(err: Exception) -> str:
    """What an error of another library says, in one line without a full stop, to stand inside our own sentence."""
    return (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(".")
