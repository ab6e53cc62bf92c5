"""The page to try the model."""

import re

import httpx

from churn_model.serving.explanation import explain
from tests.churn_assets.model_server.served import SPEC, Shop, customer
from tests.churn_model.serving.shop import landed


def test_the_page_asks_for_each_field_and_takes_nothing_from_the_network(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "'unsafe" not in page.headers["content-security-policy"]
    for name in ("customer", "minutes", "plan", "since", "worth"):
        assert f'name="{name}"' in page.text
    assert '<option value="basic"' in page.text
    for text in (page.text, client.get("/page/page.js").text, client.get("/page/page.css").text):
        assert not re.search(
            r"https?://(?!www\.w3\.org/2000/svg)|//[a-z]+\.[a-z]+/|@import|<script>|\son[a-z]+=|style=", text
        )
    assert client.get("/page/../app.py").status_code == client.get("/page/app.py").status_code == 404


def test_words_of_the_spec_are_escaped(shop: Shop) -> None:
    shop.spec.write_text(SPEC.replace("cancelled within", "<script>alert(1)</script>"))
    with shop.client() as client:
        page = client.get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_most_usual_values_can_be_asked_about(client: httpx.Client) -> None:
    usual = client.get("/page-data/example").json()
    assert client.post("/page-data/explain", json=usual).status_code == 200
    assert (usual["customer"], usual["worth"]) == (None, "100")


def test_the_parts_of_an_answer_and_the_base_sum_to_what_the_model_says(client: httpx.Client, shop: Shop) -> None:
    plan = shop.model().load()
    answer = client.post("/page-data/explain", json=customer()).json()
    margin = float(plan.margin(plan.read(customer()).encoded)[0])
    assert abs(answer["base"] + sum(part["contribution"] for part in answer["parts"]) - margin) < 1e-5
    assert answer["churn_probability"] == plan.answer(customer()).churn_probability
    assert "use" not in {part.name for part in explain(plan, customer()).parts}  # this spec has no groups
    sizes = [abs(part["contribution"]) for part in answer["parts"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(answer["reasons"]) > 0


def test_a_question_that_cannot_be_answered_says_why(client: httpx.Client) -> None:
    refused = client.post("/page-data/explain", json=customer(minutes="lots"))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "minutes"
    assert client.post("/page-data/explain", content=b"[1]").status_code == 400


def test_a_customer_of_a_batch_is_found_with_the_batch_before(client: httpx.Client, shop: Shop) -> None:
    shop.score_batch("2024-01", seed=1)
    shop.score_batch("2024-02", seed=2)
    found = client.get("/page-data/customer", params={"batch": "2024-02", "id": " C7 "}).json()
    rows = {seed: {name: values[7] for name, values in landed(40, seed).items()} for seed in (1, 2)}
    plan = shop.model().load()
    for record, seed in ((found["customer"], 2), (found["before"], 1)):
        answer = client.post("/page-data/explain", json=record).json()
        assert answer["id"] == "C7"
        assert "," in record["bill"]  # written in the format of its column
        assert answer["churn_probability"] == plan.answer(rows[seed]).churn_probability
    assert found["earlier_batch"] == "2024-01"
    assert client.get("/page-data/customer", params={"batch": "2024-01", "id": "C7"}).json()["before"] is None
    for query in ({"batch": "2024-02", "id": "nobody"}, {"batch": "../x", "id": "C7"}, {}):
        assert client.get("/page-data/customer", params=query).status_code == 404
    assert "<option>2024-02</option><option>2024-01</option>" in client.get("/").text
