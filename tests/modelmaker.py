"""Messages, keys and addresses that the tests of models share."""

from tinyllm_magic.models.routing import choose_route

REF = [{"role": "system", "content": "You are helpful."}, {"role": "user", "name": "bob", "content": "hello world"}]
KEY = {"OPENAI_API_KEY": "sk-1"}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com"}
AZURE_KEY = {**AZURE, "AZURE_OPENAI_API_KEY": "k"}
GATEWAY = "https://gateway.example/v1"


def choose(**given):
    return choose_route(**{"model": None, "packaged_model": "gpt-4o-mini", **given})
