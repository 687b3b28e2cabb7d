"""Google's SDK for Python against the Gemini sandbox at the address in argv: generate, stream, chat, count, embed,
models, errors. Says what is wrong and exits with 1."""

import asyncio
import sys

from google import genai
from google.genai import errors, types

MODEL = "gemini-3.8-flash"
EMBEDDING_MODEL = "gemini-embedding-001"

client = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=sys.argv[1]))


def generate():
    answer = client.models.generate_content(model=MODEL, contents="What is 17 + 25?")
    assert answer.text == "17 + 25 = 42.", answer.text
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == MODEL and answer.response_id
    usage = answer.usage_metadata
    assert usage.prompt_token_count > 0 and usage.candidates_token_count > 0
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count


def generate_with_settings():
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        max_output_tokens=5,
        temperature=0.5,
        stop_sequences=["zzz"],
        safety_settings=[types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_NONE")],
    )
    answer = client.models.generate_content(model=MODEL, contents="Tell me about the sea", config=config)
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS, answer
    assert answer.text and answer.usage_metadata.candidates_token_count <= 5


def stream():
    text = "Grüße, नमस्ते दुनिया, 你好 👩‍👩‍👧!"
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=f"[[sandbox:say {text}]]"))
    assert "".join(chunk.text or "" for chunk in chunks) == text
    assert len(chunks) > 3, len(chunks)
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.candidates_token_count > 0


async def stream_async():
    words = [chunk.text or "" async for chunk in await client.aio.models.generate_content_stream(
        model=MODEL, contents="[[sandbox:words 50]]")]
    assert "".join(words).split() == [f"word{at}" for at in range(1, 51)]


def thoughts():
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    answer = client.models.generate_content(model=MODEL, contents="hello", config=config)
    parts = answer.candidates[0].content.parts
    assert parts[0].thought and not parts[1].thought, parts
    assert answer.usage_metadata.thoughts_token_count > 0


def chat():
    talk = client.chats.create(model=MODEL)
    talk.send_message("Hello, my name is Ada.")
    assert talk.send_message("What is my name?").text == "Your name is Ada."
    assert "".join(chunk.text or "" for chunk in talk.send_message_stream("Say it again")) != ""


def count():
    assert client.models.count_tokens(model=MODEL, contents="hello world").total_tokens == 5
    hindi = client.models.count_tokens(model=MODEL, contents=["नमस्ते", "दुनिया"]).total_tokens
    assert hindi >= 12, hindi


def embed():
    one = client.models.embed_content(model=EMBEDDING_MODEL, contents="a cat sat on the mat")
    assert len(one.embeddings) == 1 and len(one.embeddings[0].values) == 3072
    config = types.EmbedContentConfig(output_dimensionality=256)
    texts = ["a cat sat on a mat", "the cat sat on the mat", "quarterly revenue"]
    near, same, far = (e.values for e in client.models.embed_content(
        model=EMBEDDING_MODEL, contents=texts, config=config).embeddings)
    assert len(near) == 256
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))
    assert dot(near, same) > dot(near, far)


def models():
    listed = {model.name: model for model in client.models.list(config={"page_size": 2})}
    assert f"models/{MODEL}" in listed and f"models/{EMBEDDING_MODEL}" in listed and len(listed) > 2, listed
    one = client.models.get(model=MODEL)
    assert one.input_token_limit == 1_048_576 and one.output_token_limit == 65_536
    assert "generateContent" in one.supported_actions


def fails(call, code, status):
    try:
        call()
    except errors.APIError as error:
        assert (error.code, error.status) == (code, status), error
        return error
    raise AssertionError(f"no {code} {status}")


def faults():
    ask = lambda text, model=MODEL: client.models.generate_content(model=model, contents=text)
    error = fails(lambda: ask("[[sandbox:429 retry=38s quota=PerDay]]"), 429, "RESOURCE_EXHAUSTED")
    assert error.details["error"]["details"][1]["retryDelay"] == "38s", error.details
    fails(lambda: ask("[[sandbox:500]]"), 500, "INTERNAL")
    fails(lambda: ask("[[sandbox:503]]"), 503, "UNAVAILABLE")
    fails(lambda: ask("hello", "gemini-1.5-flash"), 404, "NOT_FOUND")
    fails(lambda: client.models.get(model="gemini-1.5-flash"), 404, "NOT_FOUND")
    wrong_key = genai.Client(api_key="invalid", http_options=types.HttpOptions(base_url=sys.argv[1]))
    fails(lambda: wrong_key.models.generate_content(model=MODEL, contents="hello"), 400, "INVALID_ARGUMENT")
    blocked = ask("[[sandbox:block PROHIBITED_CONTENT]]")
    assert not blocked.candidates
    assert blocked.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    late = ask("[[sandbox:finish SAFETY after=1]]")
    assert late.candidates[0].finish_reason == types.FinishReason.SAFETY
    empty = ask("[[sandbox:finish MAX_TOKENS after=0]]")
    assert empty.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS and not empty.text


generate()
generate_with_settings()
stream()
asyncio.run(stream_async())
thoughts()
chat()
count()
embed()
models()
faults()
print(f"google-genai {genai.__version__} for Python: generate, stream, chat, count, embed, models, faults")
