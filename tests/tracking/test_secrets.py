from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warmgap.tracking.secrets import clean, forget_others, secrets_of

ENVIRON = {"OPENAI_API_KEY": "sk-12345678", "HF_TOKEN": "hf_abcde", "PATH": "/usr/bin", "DB_PASSWORD": "abc"}


def test_values_of_variables_that_hold_keys_are_secret_unless_they_are_short():
    assert secrets_of(ENVIRON) == ("sk-12345678", "hf_abcde")


def test_only_what_python_the_network_and_wandb_need_is_kept():
    environ = ENVIRON | {"WANDB_API_KEY": "k", "HTTPS_PROXY": "p", "https_proxy": "p", "AWS_SECRET": "s"}
    forget_others(environ)
    assert set(environ) == {"PATH", "WANDB_API_KEY", "HTTPS_PROXY", "https_proxy"}


nested = st.recursive(
    st.none() | st.integers() | st.text() | st.just("a sk-12345678 b"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(nested)
def test_no_nested_text_keeps_a_secret(value):
    assert "sk-12345678" not in repr(clean(value, secrets_of(ENVIRON)))


def test_everything_else_stays_as_it_is():
    value = {
        "model": "smollm2_135m",
        "rate": 1e-3,
        "key": "0f" * 32,
        "url": "http://host:80/v1",
        "n": [1, None],
    }
    assert clean(value, secrets_of(ENVIRON)) == value
    assert clean("https://me:word@host/v1?x=@", ()) == "https://<hidden>@host/v1?x=@"


def test_paths_lose_their_folders():
    command = "warmgap experiment=demo store.root=/scratch/alice/out model.source=path:/home/alice/models/own"
    assert clean(command, ()) == (
        "warmgap experiment=demo store.root=<folder>/out model.source=path:<folder>/own"
    )
    kept = ["hub:org/name", "package:a/b/c.gguf", "https://host/v1/chat/x", "and/or/not", "1/2", "~/own/x"]
    assert clean(kept, ()) == kept
