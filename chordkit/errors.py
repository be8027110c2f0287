"""Every error that a user can cause, one class per kind; the message is one sentence that names the file, the field and the mend.

::

    ChordkitError
    ├── InputError
    │   ├── DataError
    │   ├── CheckpointError
    │   ├── MasterError
    │   ├── StrategyError
    │   │   └── EnvelopeError
    │   ├── UserVectorError
    │   ├── SampleError
    │   ├── AdapterError
    │   ├── BundleError
    │   ├── PatchError
    │   ├── CapabilityError
    │   ├── MissingRuntimeError
    │   ├── DeviceError
    │   ├── ReleaseError
    │   │   └── RegistryUnreachable
    │   ├── ServiceError
    │   └── ProcessError
    └── CheckFailed

:class:`MasterWarning` and :class:`RuntimeVersionWarning` are given with ``warnings.warn``: each a line on stderr of the command line.

The command line turns :class:`InputError` into exit status 2 and :class:`CheckFailed` into exit status 1.
"""


class ChordkitError(Exception):
    """Root of all errors raised on purpose by chordkit."""


class InputError(ChordkitError):
    """Something that came from outside is wrong: exit status 2."""


class DataError(InputError):
    """A data set cannot be read or used."""


class CheckpointError(InputError):
    """A training checkpoint is damaged, or belongs to another model or data set."""


class MasterError(InputError):
    """A master-weights file is damaged or does not fit the model."""


class StrategyError(InputError):
    """A strategy is malformed or belongs to another backbone."""


class EnvelopeError(StrategyError):
    """A signed envelope is malformed, not signed by an accepted key, too old, or meant for another time, subject or backbone."""


class UserVectorError(InputError):
    """A user vector is malformed or belongs to another backbone."""


class SampleError(InputError):
    """Samples of other people, or a pool of them, are malformed or belong to another backbone."""


class AdapterError(InputError):
    """An adapter is malformed, or belongs to another backbone or strategy."""


class BundleError(InputError):
    """A bundle is damaged, unsigned although a key is required, or too new."""


class PatchError(InputError):
    """A file carries no patch table, or one that is damaged or does not fit it."""


class CapabilityError(InputError):
    """A target cannot run what was asked of it."""


class MissingRuntimeError(InputError):
    """A runtime package is not installed; the message names the extra that brings it."""


class DeviceError(InputError):
    """A device cannot be reached, or answered with something that is not an answer."""


class ReleaseError(InputError):
    """A release channel, its keys, its registry or what a mirror gave is not as it must be."""


class RegistryUnreachable(ReleaseError):
    """The database of a registry of releases is not there now, or busy for too long: what was asked may be asked again."""


class ServiceError(InputError):
    """A service of the cloud said no, or could not be reached.

    Attributes:
        status: of its answer in HTTP; None = there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ProcessError(InputError):
    """One of several processes that work as one was lost or started otherwise, or their environment is wrong."""


class CheckFailed(ChordkitError):
    """A check ran and said no (parity, verification, accuracy): exit status 1."""


class RuntimeVersionWarning(UserWarning):
    """A runtime is newer than any that an artifact was run on."""


class MasterWarning(UserWarning):
    """Master weights that can be made, and that something will not do well with; the message says what and how much."""
