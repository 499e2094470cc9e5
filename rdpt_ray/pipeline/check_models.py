"""Models that cannot score are found out before a GPU is touched."""

from rdpt_ray.config import Role
from rdpt_ray.errors import ConfigError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.lineage import Identities
from rdpt_ray.pipeline.recorded import Recording
from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import encoder_of
from rdpt_ray.scoring.recorded_text import load_recorded_tokenizer


def check_servers(models: dict[Role, ModelConfig], identities: Identities) -> None:
    """Two servers must not pass for one model: the second would be given the first one's scores.

    Raises:
        ConfigError: naming both.
    """
    urls: dict[str, tuple[Role, str]] = {}
    for role, model in models.items():
        if model.endpoint is None:
            continue
        first, url = urls.setdefault(identities[role].key, (role, model.endpoint.url))
        if url != model.endpoint.url:
            raise ConfigError(
                f"models.{first} and models.{role} have the same tokenizer, served name and revision, but"
                f" different urls ({url}, {model.endpoint.url}): if they are different models, tell"
                " them apart by `revision`; if not, give both one url"
            )


def check_tokenizers(identities: Identities, recorded: dict[Role, Recording]) -> None:
    """Load every tokenizer and template here and now.

    Raises:
        ConfigError: if a template cannot render a user message.
        ModelError: if there is no usable tokenizer.
    """
    for role, identity in identities.items():
        if role in recorded:
            load_recorded_tokenizer(identity.location, identity.revision)
        else:
            _check_template(role, identity)


def _check_template(role: Role, identity: ModelIdentity) -> None:
    encoder = encoder_of(identity)
    try:
        encoder.encode([{"role": "user", "content": "1 + 1 = ?"}], "2.")
    except TEMPLATE_FAULTS as error:
        raise ConfigError(
            f"models.{role}: its chat template cannot render a user message with"
            f" {identity.chat_template_kwargs}: {type(error).__name__}: {error}"
        ) from error
