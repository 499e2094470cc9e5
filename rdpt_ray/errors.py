"""Every error a user can meet, in one tree.

    RdptError
    +-- ConfigError (ValueError)   the config is wrong; raised before any model is touched
    +-- InputError (ValueError)    an input file, row or column is wrong and cannot be quarantined
    +-- ModelError (ValueError)    a model, tokenizer or chat template cannot be used for scoring
    +-- StoreError (OSError)       the store holds something it must not, or cannot be written
    |   +-- DamagedError           a file of it is not what was written under its name
    +-- CapacityError (RuntimeError)  the cluster cannot hold what was asked for
    +-- QuarantineError (RuntimeError)  more of the rows read is quarantined than `fail_above` allows
    +-- PublishError (RuntimeError)   the dataset must not be published, or the other side refuses it
    +-- LeaseError (RuntimeError)     another round of the schedule is at work, or has taken over
    +-- Interrupted (RuntimeError)    the job was asked to end, and did

No class takes more than one argument, so all of them pickle across Ray.
"""


class RdptError(Exception):
    """Root of all errors raised on purpose by rdpt_ray; the command line prints it without a traceback."""

    exit_code = 1
    """What the command ends with."""


class ConfigError(RdptError, ValueError):
    """The config names an unknown key, an impossible value or a contradiction."""


class InputError(RdptError, ValueError):
    """An input cannot be read at all: no such file, or no file holds the columns asked for."""


class ModelError(RdptError, ValueError):
    """A model folder, tokenizer or chat template is unusable, with what to change."""


class StoreError(RdptError, OSError):
    """The store is inconsistent or not writable; names the file."""


class DamagedError(StoreError):
    """A file of the store can be read, and is not what its name says; most such files a job makes again."""


class CapacityError(RdptError, RuntimeError):
    """The Ray cluster can never hold the pool that the config asks for."""


class QuarantineError(RdptError, RuntimeError):
    """More rows are quarantined than the config allows; tells how many, why, and how to go on."""

    exit_code = 3


class PublishError(RdptError, RuntimeError):
    """The dataset must not be published as it is, or cannot be put where it is to go."""


class LeaseError(RdptError, RuntimeError):
    """Another round of the schedule is at work, or has taken over from this one, which published nothing."""

    exit_code = 4


class Interrupted(RdptError, RuntimeError):
    """The job was asked to end and did; the same command continues it."""

    exit_code = 75
    """EX_TEMPFAIL: worth another attempt."""
