"""Which endpoint and model is meant, and whether its address may get a key."""

import pytest
from modelmaker import AZURE, AZURE_KEY, GATEWAY, KEY, choose

from tinyllm_magic.errors import ConfigError
from tinyllm_magic.models.catalog import EMBEDDED, facts
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.models.routing import with_memory
from tinyllm_magic.models.vendors import vendors

TABLES = {"small": {"provider": "local", "path": "/w/tiny.Q4.gguf", "temperature": 0}, "big": {"model": "gpt-4o", "base_url": GATEWAY}}


OTHER = "https://other.example/v1"
REMEMBERED = {"api_type": "azure", "model": "gpt-4o", "endpoint": "https://author.openai.azure.com"}


@pytest.mark.parametrize(
    ("given", "api_type", "model", "base_url"),
    [
        # a name that no table has: OpenAI or Azure, key or no key
        ({"model": "gpt-4o"}, "openai", "gpt-4o", None),
        ({"model": "gpt-4o", "environ": KEY}, "openai", "gpt-4o", None),
        ({"model": "gpt-4o", "environ": AZURE}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "gpt-4o", "environ": AZURE_KEY}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "gpt-4o", "environ": {**AZURE_KEY, **KEY}}, "openai", "gpt-4o", None),
        ({"model": "gpt-4o", "environ": {**AZURE, "OPENAI_API_KEY": " "}}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "gpt-4o", "base_url": GATEWAY}, "openai", "gpt-4o", GATEWAY),
        ({"model": "gpt-4o", "base_url": GATEWAY, "environ": AZURE_KEY}, "openai", "gpt-4o", GATEWAY),
        ({"model": "gpt-4o", "environ": {"OPENAI_BASE_URL": GATEWAY}}, "openai", "gpt-4o", GATEWAY),
        ({"model": "gpt-4o", "memory": REMEMBERED}, "openai", "gpt-4o", None),
        ({"model": "echo", "environ": KEY}, "openai", "echo", None),
        ({"model": "azure"}, "openai", "azure", None),
        # the embedded model's own name
        ({"model": EMBEDDED, "environ": KEY}, "local", EMBEDDED, None),
        # tables
        ({"model": "small", "models": TABLES, "environ": KEY}, "local", "tiny.Q4", None),
        ({"model": "big", "models": TABLES, "environ": AZURE}, "openai", "gpt-4o", GATEWAY),
        ({"models": TABLES, "environ": KEY, "memory": REMEMBERED}, "local", "tiny.Q4", None),
        ({"model": "t", "models": {"t": {}}}, "openai", "t", None),
        ({"model": "t", "models": {"t": {}}, "environ": AZURE}, "azure", "t", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "t", "models": {"t": {"base_url": ""}}, "base_url": GATEWAY}, "openai", "t", GATEWAY),
        ({"model": "t", "models": {"t": {"provider": "local"}}}, "local", EMBEDDED, None),
        ({"model": "t", "models": {"t": {"model": EMBEDDED}}}, "local", EMBEDDED, None),
        ({"model": "t", "models": {"t": {"provider": "echo", "model": "e"}}}, "echo", "e", None),
        ({"model": "t", "models": {"t": {"provider": "azure", "base_url": "https://a.example"}}}, "azure", "t", "https://a.example"),
        ({"model": "t", "models": {"t": {"azure_endpoint": "https://a.example"}}}, "azure", "t", "https://a.example"),
        ({"model": "t", "models": {"t": {"provider": "mine"}}, "registered": ["mine"]}, "mine", "t", None),
        # API_TYPE wins
        ({"model": "gpt-4o", "api_type": "azure", "environ": {**AZURE, **KEY}}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "gpt-4o", "api_type": "azure", "base_url": GATEWAY}, "azure", "gpt-4o", GATEWAY),
        ({"model": "gpt-4o", "api_type": "azure", "environ": {"OPENAI_BASE_URL": GATEWAY}}, "azure", "gpt-4o", None),
        ({"model": "gpt-4o", "api_type": "OpenAI", "environ": AZURE_KEY}, "openai", "gpt-4o", None),
        ({"model": "gpt-4o", "api_type": "echo"}, "echo", "gpt-4o", None),
        ({"api_type": "echo", "environ": KEY, "memory": REMEMBERED}, "echo", "echo", None),
        ({"api_type": "local", "environ": KEY}, "local", EMBEDDED, None),
        ({"api_type": "local", "model": "/w/other.gguf"}, "local", "other", None),
        ({"api_type": "local", "models": TABLES}, "local", "tiny.Q4", None),
        ({"api_type": "openai", "models": TABLES}, "openai", "gpt-4o", GATEWAY),
        ({"api_type": "echo", "models": TABLES}, "echo", "echo", None),
        ({"api_type": "openai"}, "openai", "gpt-4o-mini", None),
        ({"api_type": "mine", "registered": ["mine"]}, "mine", "gpt-4o-mini", None),
        ({"api_type": " ", "environ": KEY}, "openai", "gpt-4o-mini", None),
        ({"api_type": "openai", "model": "small", "models": TABLES}, "openai", "small", None),
        # nothing names a model: memory, then keys, then the embedded model
        ({"memory": REMEMBERED}, "azure", "gpt-4o", None),
        ({"memory": REMEMBERED, "environ": KEY}, "azure", "gpt-4o", None),
        ({"memory": REMEMBERED, "environ": AZURE}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"memory": {"api_type": "openai", "model": "m", "endpoint": "http://127.0.0.1:1/v1"}, "environ": KEY}, "openai", "m", None),
        (
            {"memory": {"api_type": "openai", "model": "m", "endpoint": GATEWAY}, "environ": {"OPENAI_BASE_URL": OTHER}},
            "openai",
            "m",
            OTHER,
        ),
        ({"memory": {"api_type": "local", "model": EMBEDDED}, "environ": KEY}, "local", EMBEDDED, None),
        ({"memory": {"api_type": "openai", "model": "gpt-4o"}, "environ": AZURE_KEY}, "openai", "gpt-4o", None),
        ({"memory": {"api_type": "openai", "model": "gpt-4o"}, "base_url": GATEWAY}, "openai", "gpt-4o", GATEWAY),
        ({"memory": {"api_type": "gone", "model": "x"}, "environ": KEY}, "openai", "gpt-4o-mini", None),
        ({"memory": {"api_type": "openai"}}, "local", EMBEDDED, None),
        ({"environ": KEY}, "openai", "gpt-4o-mini", None),
        ({"environ": {**KEY, **AZURE_KEY}}, "openai", "gpt-4o-mini", None),
        ({"environ": AZURE_KEY}, "azure", "gpt-4o-mini", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"environ": {**AZURE, "AZURE_OPENAI_KEY": "k"}}, "azure", "gpt-4o-mini", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"environ": AZURE}, "local", EMBEDDED, None),
        ({"base_url": GATEWAY}, "openai", "gpt-4o-mini", GATEWAY),
        ({"environ": {"OPENAI_BASE_URL": GATEWAY}}, "openai", "gpt-4o-mini", GATEWAY),
        ({"environ": {"OPENAI_BASE_URL": GATEWAY, **AZURE_KEY}}, "azure", "gpt-4o-mini", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({}, "local", EMBEDDED, None),
    ],
)
def test_the_route_follows_what_is_named_then_remembered_then_present(given, api_type, model, base_url):
    route = choose(**given)
    assert (route.endpoint.api_type, route.model, route.endpoint.base_url) == (api_type, model, base_url)
    assert route.why


ANTHROPIC = "https://api.anthropic.com/v1"
MISTRAL = "https://api.mistral.ai/v1"
OLLAMA = "http://localhost:11434/v1"


@pytest.mark.parametrize(
    ("given", "whose", "model", "base_url"),
    [
        # 1. the user's own table of that name
        ({"model": "anthropic:x", "models": {"anthropic:x": {"base_url": GATEWAY}}}, "openai", "anthropic:x", GATEWAY),
        ({"model": "claude-x", "models": {"claude-x": {"base_url": GATEWAY}}}, "openai", "claude-x", GATEWAY),
        ({"model": "tiny", "models": {"tiny": {"base_url": GATEWAY}}}, "openai", "tiny", GATEWAY),
        # 2. a set API_TYPE or address takes the name whole, ``VENDOR:`` excepted
        ({"model": "claude-x", "api_type": "openai"}, "openai", "claude-x", None),
        ({"model": "claude-x", "base_url": GATEWAY}, "openai", "claude-x", GATEWAY),
        ({"model": "claude-x", "environ": {"OPENAI_BASE_URL": GATEWAY}}, "openai", "claude-x", GATEWAY),
        ({"model": "claude-x", "environ": AZURE}, "azure", "claude-x", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "tiny", "base_url": GATEWAY}, "openai", "tiny", GATEWAY),
        ({"model": "gemma3:1b", "api_type": "ollama"}, "ollama", "gemma3:1b", OLLAMA),
        ({"model": "gemma3:1b", "api_type": "ollama", "base_url": GATEWAY}, "ollama", "gemma3:1b", GATEWAY),
        ({"model": "gemma3:1b", "api_type": "ollama", "environ": {"OPENAI_BASE_URL": GATEWAY}}, "ollama", "gemma3:1b", OLLAMA),
        ({"model": "claude-x", "api_type": "Mistral"}, "mistral", "claude-x", MISTRAL),
        ({"model": "anthropic:claude-x", "api_type": "openai"}, "anthropic", "claude-x", ANTHROPIC),
        ({"model": "anthropic:claude-x", "base_url": GATEWAY}, "anthropic", "claude-x", ANTHROPIC),
        ({"model": "anthropic:claude-x", "environ": {"OPENAI_BASE_URL": GATEWAY}}, "anthropic", "claude-x", ANTHROPIC),
        ({"model": "anthropic:claude-x", "environ": AZURE_KEY}, "anthropic", "claude-x", ANTHROPIC),
        ({"model": "anthropic:claude-x", "api_type": "echo"}, "echo", "anthropic:claude-x", None),
        ({"model": "anthropic:claude-x", "api_type": "mine", "registered": ["mine"]}, "mine", "anthropic:claude-x", None),
        ({"model": "x", "api_type": "mistral", "registered": ["mistral"]}, "mistral", "x", None),
        # 3. ``VENDOR:MODEL``
        ({"model": "Anthropic:claude-x"}, "anthropic", "claude-x", ANTHROPIC),
        ({"model": "ollama:llama3:8b"}, "ollama", "llama3:8b", OLLAMA),
        ({"model": "openrouter:meta/x:free"}, "openrouter", "meta/x:free", "https://openrouter.ai/api/v1"),
        ({"model": "azure:mine", "environ": {**AZURE, **KEY}}, "azure", "mine", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "openai:gpt-4o", "environ": AZURE_KEY}, "openai", "gpt-4o", None),
        ({"model": "llama3:8b"}, "openai", "llama3:8b", None),
        ({"model": "ft:gpt-4o:me::1"}, "openai", "ft:gpt-4o:me::1", None),
        ({"model": "anthropic:"}, "openai", "anthropic:", None),
        # 4. the embedded model
        ({"model": "tiny", "environ": KEY}, "local", EMBEDDED, None),
        ({"model": "tiny", "api_type": "local"}, "local", EMBEDDED, None),
        # 5. a vendor's prefix
        ({"model": "claude-x", "environ": KEY}, "anthropic", "claude-x", ANTHROPIC),
        ({"model": "Gemini-x"}, "gemini", "Gemini-x", "https://generativelanguage.googleapis.com/v1beta/openai"),
        ({"model": "mistral-large-latest"}, "mistral", "mistral-large-latest", MISTRAL),
        # 6. else OpenAI or Azure
        ({"model": "my-claude-x"}, "openai", "my-claude-x", None),
        ({"model": "deepseek-r1:8b"}, "openai", "deepseek-r1:8b", None),
        ({"model": "mistral-community/x"}, "openai", "mistral-community/x", None),
        # tables say the same words
        ({"model": "t", "models": {"t": {"model": "anthropic:claude-x"}}}, "anthropic", "claude-x", ANTHROPIC),
        ({"model": "t", "models": {"t": {"model": "claude-x"}}}, "anthropic", "claude-x", ANTHROPIC),
        ({"model": "t", "models": {"t": {"provider": "ollama", "model": "llama3:8b"}}}, "ollama", "llama3:8b", OLLAMA),
        ({"model": "t", "models": {"t": {"provider": "ollama", "model": "l", "base_url": GATEWAY}}}, "ollama", "l", GATEWAY),
        ({"model": "t", "models": {"t": {"model": "tiny"}}}, "local", EMBEDDED, None),
        # what a store remembers
        ({"memory": {"api_type": "mistral", "model": "m", "endpoint": MISTRAL}, "environ": KEY}, "mistral", "m", MISTRAL),
    ],
)
def test_a_name_leads_to_the_first_that_it_can_mean(given, whose, model, base_url):
    route = choose(**given)
    assert (route.endpoint.whose, route.model, route.endpoint.base_url) == (whose, model, base_url)
    assert route.why


@pytest.mark.parametrize("name", [v for v in vendors() if v not in ("openai", "azure")])
def test_a_vendor_has_the_identity_of_a_table_with_its_address(name):
    url = vendors()[name].base_url
    table = choose(model="t", models={"t": {"base_url": url}})
    assert choose(model=f"{name}:m").endpoint.provider == table.endpoint.provider == f"openai:{url}"


def test_a_store_remembers_the_vendor_so_that_its_reader_asks_the_same_question():
    asked = with_memory(choose(model="m", api_type="mistral"))
    again = choose(memory=asked.memory)
    assert (again.endpoint, again.model, again.facts) == (asked.endpoint, asked.model, asked.facts)
    assert again.facts.renames == {"seed": "random_seed"}


def test_a_vendor_as_api_type_needs_a_model_because_ours_is_not_its_own():
    with pytest.raises(ConfigError, match="API_TYPE is ollama, but no model is named"):
        choose(api_type="ollama")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_vendors_own_address_is_trusted_and_one_that_a_file_sets_is_asked_for(trusted):
    def trusts(_name):
        return trusted

    assert choose(model="mistral:m", is_trusted=trusts).endpoint.trusted
    assert choose(model="m", api_type="mistral", base_url=GATEWAY, is_trusted=trusts).endpoint.trusted is trusted


@pytest.mark.parametrize("given", [{"api_type": "zz"}, {"model": "t", "models": {"t": {"provider": "zz"}}}])
def test_an_unknown_api_type_is_an_error_that_names_the_known_ones(given):
    with pytest.raises(ValueError, match=r"zz.*openai"):
        choose(**given)


def test_the_local_engine_does_not_answer_in_the_name_of_another_model():
    with pytest.raises(ConfigError, match="no local model 'gpt-4o'"):
        choose(model="gpt-4o", api_type="local")


def test_a_table_gives_address_defaults_and_facts_each_to_its_place():
    table = {
        "provider": "azure",
        "model": "deployed",
        "base_url": "https://a.example",
        "api_key_env": "MY_KEY",
        "api_version": "2024-10-21",
        "identity": "team",
        "timeout": "30",
        "max_retries": 2,
        "temperature": 0.2,
        "max_tokens": 50,
        "system": "Be brief.",
        "top_k": 3,
        "refuses": ["seed"],
        "window": 4096,
    }
    route = choose(model="t", models={"t": table})
    assert route.endpoint == Endpoint("azure", "https://a.example", "MY_KEY", None, "2024-10-21", "team", None, 30.0, 2)
    assert dict(route.defaults) == {"temperature": 0.2, "max_tokens": 50, "system": "Be brief.", "top_k": 3}
    assert (route.facts.refuses, route.facts.window, route.facts.system) == ({"seed"}, 4096, "Be brief.")
    assert (route.name, route.endpoint.provider) == ("t", "team")


def test_the_path_of_a_table_is_the_file_and_its_stem_the_model():
    route = choose(model="small", models=TABLES)
    assert (route.endpoint.path, route.model, route.endpoint.provider, route.facts.local) == ("/w/tiny.Q4.gguf", "tiny.Q4", "local", True)


def test_a_table_for_another_vendor_gives_no_address_or_key_to_a_set_api_type():
    table = {
        "provider": "azure",
        "base_url": "https://a.example",
        "api_key": "k",
        "api_key_env": "K",
        "identity": "i",
        "timeout": 9,
        "seed": 1,
    }
    route = choose(model="t", models={"t": table}, api_type="openai")
    assert route.endpoint == Endpoint("openai", timeout=9.0)
    assert dict(route.defaults) == {"seed": 1}


def test_an_unreadable_number_of_a_table_names_its_key():
    with pytest.raises(ConfigError, match="timeout"):
        choose(model="t", models={"t": {"timeout": "soon"}})


def test_an_api_version_goes_to_azure_alone():
    assert choose(model="m", environ=AZURE, api_version="v").endpoint.api_version == "v"
    assert choose(model="m", api_version="v").endpoint.api_version is None


def _never(_):
    return False


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        ({"model": "big", "models": TABLES, "is_trusted": _never}, False),
        ({"model": "big", "models": TABLES, "is_trusted": lambda name: name == "big"}, True),
        ({"model": "t", "models": {"t": {"base_url": "http://localhost:1/v1"}}, "is_trusted": _never}, True),
        ({"model": "t", "models": {"t": {}}, "is_trusted": _never}, True),
        ({"model": "m", "base_url": GATEWAY, "is_trusted": _never}, False),
        ({"model": "m", "base_url": GATEWAY, "is_trusted": lambda name: name is None}, True),
        ({"model": "m", "base_url": GATEWAY, "environ": {"OPENAI_BASE_URL": GATEWAY}, "is_trusted": _never}, True),
        ({"model": "m", "environ": AZURE, "is_trusted": _never}, True),
        ({"model": "m", "is_trusted": _never}, True),
        ({"memory": {"api_type": "openai", "model": "m"}, "base_url": GATEWAY, "is_trusted": _never}, False),
    ],
)
def test_an_address_that_the_user_has_not_named_gets_no_key_unless_trusted(given, trusted):
    assert choose(**given).endpoint.trusted is trusted


@pytest.mark.parametrize("given", [{"environ": KEY}, {"environ": AZURE_KEY}, {"base_url": GATEWAY}, {}])
def test_what_the_keys_decide_is_remembered_and_leads_a_reader_without_any_the_same_way(given):
    author = choose(**given)
    reader = choose(memory=author.memory)
    assert (reader.endpoint.api_type, reader.model) == (author.endpoint.api_type, author.model)


@pytest.mark.parametrize("given", [{"model": "gpt-4o"}, {"models": TABLES}, {"api_type": "echo"}])
def test_what_is_named_is_not_remembered(given):
    assert not choose(**given).memory


def test_a_route_leads_to_another_model_of_the_same_endpoint():
    route = choose(model="big", models=TABLES)
    other = route.for_model("o3")
    assert (other.endpoint, other.model, other.facts) == (route.endpoint, "o3", facts("o3", whose="openai"))
    assert route.for_model("big") is route
