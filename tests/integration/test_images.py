"""`--image`, `--file`, `| image` and `| file` in cells, over real HTTP: sent, recorded, shown, counted, refused."""

import json

import pytest
from filemaker import document, picture
from htmlaudit import Page

from tinyllm_magic import errors, override, session


@pytest.fixture(autouse=True)
def recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(picture())
    (tmp_path / "bill.pdf").write_bytes(document())
    (tmp_path / "notes.txt").write_text("Milk", "utf-8")
    with override(mode="auto", model="gpt-4o"):
        yield


def sent(fake):
    return [part.get("text") or part["type"] for part in fake.last["messages"][-1]["content"]]


def test_images_and_files_stand_before_the_text_in_the_order_of_the_options(run, start):
    fake = start("A corner.")

    done = run("%%llm --image photo.png --file notes.txt --image photo.png\nWhat is it?")

    assert done.error is None
    assert sent(fake) == ["image_url", "notes.txt:\nMilk", "image_url", "What is it?"]


def test_a_line_takes_an_image_too(run, start, shell):
    fake = start("A corner.")

    run("r = %llm --image photo.png What is it?")

    assert sent(fake) == ["image_url", "What is it?"]
    assert shell.user_ns["r"].text == "A corner."


def test_a_figure_drawn_again_is_answered_by_the_record(run, start):
    fake = start("Bars.")
    draw = "from matplotlib.figure import Figure\nfig = Figure(figsize=(2, 1))\n_ = fig.add_subplot().bar(['a'], [1])"

    for _ in range(2):
        run(draw)
        done = run("%%llm\n{{ fig | image }}\nWhat is drawn?")

    assert (fake.n, done.error) == (1, None)
    assert "recorded" in done.text


def test_the_card_shows_thumbnails_and_loads_nothing(run, start):
    start("A corner.")

    done = run("%%llm --image photo.png\nWhat is it?")
    page = Page(done.html)

    assert page.wrong == []
    (image,) = page.all("img")
    assert image["src"].startswith("data:image/")
    assert image["alt"] == "photo.png, 40×30"
    assert "[photo.png, 40×30]" in done.text


def test_a_thumbnail_of_a_strangers_store_is_shown_only_if_it_is_one(run, start):
    fake = start("A corner.")
    run("%%llm --image photo.png\nWhat is it?")
    path = session.store(session.settings()).path
    text = path.read_text("utf-8")
    record = json.loads(text.splitlines()[-1])
    (digest,) = record["thumbnails"]
    evil = 'https://evil.example/x.png" onerror="alert(1)'
    path.write_text(text.replace(json.dumps(record["thumbnails"][digest]), json.dumps(evil)), "utf-8")

    done = run("%%llm --image photo.png\nWhat is it?")

    assert Page(done.html).wrong == []
    assert "evil" not in done.html
    assert "<span>[photo.png, 40×30]</span>" in done.html
    assert fake.n == 1


def test_a_map_attaches_each_rows_own_image(run, start, tmp_path):
    (tmp_path / "other.png").write_bytes(picture(colour="red"))
    fake = start("one", "two")

    run("rows = [{'path': 'photo.png'}, {'path': 'other.png'}]\n")
    done = run("%%llm --map rows --image path --workers 1\nWhat is it?")

    assert done.error is None
    urls = {body["messages"][-1]["content"][0]["image_url"]["url"] for body in fake.bodies}
    assert len(urls) == 2


def test_the_dry_run_names_the_images_and_counts_them_by_the_published_formula(run, start, tmp_path):
    fake = start()
    (tmp_path / "square.png").write_bytes(picture(1024, 1024))

    bare = run("%%llm --dry-run\nWhat is it?")
    done = run("%%llm --dry-run --image square.png\nWhat is it?")

    assert "[square.png, 1024×1024]" in done.text
    plain, with_image = (int(text.split(" tokens of")[0].split()[-3].replace(",", "")) for text in (bare.text, done.text))
    assert with_image - plain == 765
    assert "≈ 7" not in done.text
    assert fake.n == 0


def test_a_model_without_vision_is_refused_before_anything_is_sent(run, start):
    fake = start()

    dry = run("%%llm -m gpt-3.5-turbo --dry-run --image photo.png\nWhat is it?")

    assert "gpt-3.5-turbo takes no images: the call would be refused" in dry.text
    for mode in ("auto", "replay", "refresh", "off"):
        done = run(f"%%llm -m gpt-3.5-turbo --image photo.png --mode {mode}\nWhat is it?")
        assert isinstance(done.error, errors.UnsupportedError)
        assert "gpt-3.5-turbo takes no images" in str(done.error)
    assert fake.n == 0


def test_what_is_recorded_of_an_image_is_replayed_whatever_is_known_of_the_model_by_now(run, start, monkeypatch):
    from tinyllm_magic.clients import prepared

    start("a house")
    with monkeypatch.context() as patched:
        patched.setattr(prepared, "has_images", lambda messages: False)
        run("%%llm -m gpt-3.5-turbo --image photo.png\nWhat is it?")

    assert run("%%llm -m gpt-3.5-turbo --image photo.png\nWhat is it?").text.startswith("[photo.png, 40×30]\na house")


def test_a_pdf_goes_as_it_is_where_the_model_takes_pdfs(run, start):
    fake = start("42")

    run("%%llm --file bill.pdf\nHow much?")

    part = fake.last["messages"][-1]["content"][0]
    assert part["file"]["filename"] == "bill.pdf"
    assert part["file"]["file_data"].startswith("data:application/pdf;base64,")


def test_the_card_says_that_a_pdfs_text_was_sent(run, start):
    fake = start("42")

    done = run("%%llm -m llama3 --file bill.pdf\nHow much?")

    assert sent(fake) == ["bill.pdf:\nThe total is 42 euros.", "How much?"]
    assert "note: llama3 is not known to take PDFs: the text of bill.pdf is sent" in done.text


def test_what_a_cell_attaches_goes_along_with_its_template_file(run, start, tmp_path):
    fake = start("A corner.")
    (tmp_path / "ask.j2").write_text("Be brief. {{ cell }}", "utf-8")

    run("%%llm -t ask.j2 --file notes.txt\nWhat is {{ 'photo.png' | image }} it?")

    assert sent(fake) == ["notes.txt:\nMilk", "image_url", "Be brief. What is\n it?"]


def test_a_template_file_reads_nothing_outside_its_folder(run, start, tmp_path):
    fake = start()
    outside = tmp_path.parent / "outside.txt"
    outside.write_text("secret", "utf-8")
    (tmp_path / "ask.j2").write_text(f"{{{{ '../{outside.name}' | file }}}}", "utf-8")

    done = run("%llm -t ask.j2")
    outside.unlink()

    assert "lies outside" in str(done.error)
    assert fake.n == 0


def test_an_image_that_is_not_there_fails_the_cell_in_words(run, start):
    fake = start()

    done = run("%%llm --image foto.png\nWhat is it?")

    assert isinstance(done.error, errors.OptionError)
    assert "photo.png" in done.error.hint
    assert fake.n == 0


def test_a_figure_that_changed_is_named_by_the_miss(run, start):
    start("Bars.")
    draw = "from matplotlib.figure import Figure\nfig = Figure(figsize=(2, 1))\n_ = fig.add_subplot().bar(['a'], [{}])"
    run(draw.format(1))
    run("%%llm --image fig\nWhat is drawn?")
    run(draw.format(2) + "; fig.axes[0].set_title('Two')")

    done = run("%%llm --mode replay --image fig\nWhat is drawn?")

    assert isinstance(done.error, errors.ReplayMiss)
    assert "the figure in message 1 has changed" in str(done.error)
