"""The jobs of a healthy day: what each agent is for, with the errors and retries that healthy agents have."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator

from console.demo.script import PROFILES, USERS, Call, Job, around, failed, model_call

TOPICS = (
    "returns policy",
    "invoice PDF",
    "VAT number",
    "delivery time",
    "seat upgrade",
    "password reset",
    "SLA credits",
)


def healthy_job(agent: str, rng: random.Random) -> Job:
    """The next job of `agent`; everything in it comes from `rng`."""
    return _MAKERS[agent](rng)


def retried(rng: random.Random, call: Call, chance: float, error_type: str, message: str) -> Iterator[Call]:
    """The call; with `chance` it fails first and is tried again."""
    if rng.random() < chance:
        yield failed(call, error_type, message, around(rng, 900))
        yield dataclasses.replace(call, attempt=2)
    else:
        yield call


def tool(
    rng: random.Random,
    name: str,
    middle_ms: float,
    args: dict[str, object],
    result: object,
    effect: dict[str, object] | None = None,
) -> Call:
    return Call("tool", name, around(rng, middle_ms), args=args, result=result, effect=effect)


def email_effect(address: str, key: str, external: str) -> dict[str, object]:
    """What sending a message does outside, as the agent reports it."""
    return {
        "system": "email",
        "operation": "send",
        "resource": address,
        "status": "confirmed",
        "idempotency_key": key,
        "external_id": external,
        "reversible": "no",
    }


def _session(rng: random.Random) -> str:
    return f"s-{rng.getrandbits(32):08x}"


def _search(rng: random.Random) -> Job:
    user, tenant, _ = rng.choice(USERS)
    topic = rng.choice(TOPICS)
    profile = PROFILES["search-api"]
    broken = rng.random() < 0.012

    def calls() -> Iterator[Call]:
        yield model_call(rng, profile, "plan", profile.base_context, 40)
        found = tool(rng, "search_docs", 120, {"query": topic, "limit": 8}, {"hits": rng.randint(2, 8)})
        if broken:
            yield failed(found, "index_unavailable", "search index answered 503", around(rng, 400))
            return
        yield from retried(rng, found, 0.02, "timeout", "search index did not answer within 800 ms")
        size = int(around(rng, 3_800, 0.5))
        length = 110 if rng.random() > 0.02 else 620  # a few long answers make the tail
        yield model_call(rng, profile, "answer", size, length, text=f"Here is what our guide says about {topic}.")

    return Job(
        session=_session(rng),
        title=f"answer: {topic}",
        user=user,
        tenant=tenant,
        prompt_hash=profile.prompt_hash,
        calls=calls(),
        question=f"Where do I find the {topic}?",
        answer=f"See the section on {topic}.",
        pause_ms=around(rng, 3_800),
        status="error" if broken else "ok",
        error_type="index_unavailable" if broken else None,
    )


def _triage(rng: random.Random) -> Job:
    user, tenant, address = rng.choice(USERS)
    ticket = rng.randint(200_000, 999_999)
    profile = PROFILES["triage"]
    own_model = rng.random() < 0.05  # a model that no price list knows: it must show as unpriced, not as free

    def calls() -> Iterator[Call]:
        yield tool(rng, "get_ticket", 90, {"ticket": ticket}, {"from": address, "subject": rng.choice(TOPICS)})
        context = profile.base_context
        for step in range(rng.randint(1, 3)):
            model = ("in-house-7b", "self-hosted") if own_model and step == 0 else (None, None)
            call = model_call(rng, profile, "classify", context, 60, model=model[0], provider=model[1])
            yield from retried(rng, call, 0.03, "overloaded_error", "the provider is overloaded")
            yield tool(rng, "search_docs", 150, {"query": rng.choice(TOPICS)}, {"hits": rng.randint(0, 6)})
            context += rng.randint(400, 1_200)
        yield model_call(rng, profile, "decide", context, 90, text="Queue: billing. Priority: normal.")
        yield tool(rng, "update_ticket", 140, {"ticket": ticket, "queue": "billing"}, {"ok": True})

    return Job(
        session=_session(rng),
        title=f"triage ticket {ticket}",
        user=user,
        tenant=tenant,
        prompt_hash=profile.prompt_hash,
        calls=calls(),
        question=f"New ticket {ticket} from {address}",
        answer="Routed to billing.",
        pause_ms=around(rng, 9_000),
    )


def _billing(rng: random.Random) -> Job:
    user, tenant, address = rng.choice(USERS)
    refund = rng.randint(100_000, 999_999)
    profile = PROFILES["billing-bot"]
    refused = rng.random() < 0.03

    def calls() -> Iterator[Call]:
        context = profile.base_context
        yield model_call(rng, profile, "plan", context, 90)
        invoices = tool(rng, "search_invoices", 280, {"customer": user, "refund": refund}, {"found": 1, "page": 1})
        yield from retried(rng, invoices, 0.03, "timeout", "invoice search did not answer within 2 s")
        context += 900
        yield model_call(rng, profile, "check", context, 120)
        if refused:
            return
        yield tool(rng, "update_crm", 190, {"customer": user, "note": f"refund {refund} approved"}, {"ok": True})
        key = f"rf-{refund}-1"
        args: dict[str, object] = {"invoice": f"in-{refund}", "amount_usd": rng.randint(9, 240), "key": key}
        yield tool(
            rng,
            "post_refund",
            420,
            args,
            {"status": "booked"},
            {
                "system": "ledger",
                "operation": "refund",
                "resource": f"in-{refund}",
                "status": "confirmed",
                "idempotency_key": key,
                "external_id": f"lg-{rng.getrandbits(24):06x}",
                "reversible": "yes",
            },
        )
        yield tool(
            rng,
            "send_email",
            380,
            {"to": address, "subject": "Your refund"},
            {"queued": True},
            email_effect(address, key, f"ms-{rng.getrandbits(24):06x}"),
        )
        yield model_call(rng, profile, "close", context + 700, 60, text=f"Refund {refund} is booked.")

    return Job(
        session=_session(rng),
        title=f"handle refund #{refund}",
        user=user,
        tenant=tenant,
        prompt_hash=profile.prompt_hash,
        calls=calls(),
        question=f"{address} asks for refund {refund}",
        answer="Not covered by the policy." if refused else f"Refund {refund} is booked.",
        pause_ms=around(rng, 14_000),
        status="refused" if refused else "ok",
        error_type="policy" if refused else None,
    )


def _mailer(rng: random.Random) -> Job:
    user, tenant, _ = rng.choice(USERS)
    batch = rng.randint(100_000, 999_999)
    profile = PROFILES["mailer"]
    recipients = rng.sample([address for _, _, address in USERS], rng.randint(1, 3))

    def calls() -> Iterator[Call]:
        yield tool(rng, "render_template", 60, {"template": "weekly", "tenant": tenant}, {"bytes": 4_210})
        yield model_call(rng, profile, "subject line", profile.base_context, 30, text="Your week in numbers")
        for number, address in enumerate(recipients):
            sent = tool(
                rng,
                "send_email",
                310,
                {"to": address, "subject": "Your week in numbers"},
                {"queued": True},
                email_effect(address, f"wk-{batch}-{number}", f"ms-{rng.getrandbits(24):06x}"),
            )
            yield from retried(rng, sent, 0.04, "timeout", "smtp relay did not answer within 5 s")

    return Job(
        session=_session(rng),
        title=f"weekly mail, batch {batch}",
        user=user,
        tenant=tenant,
        prompt_hash=profile.prompt_hash,
        calls=calls(),
        question=f"Send the weekly mail to {tenant}",
        answer=f"Sent to {len(recipients)}.",
        pause_ms=around(rng, 12_000),
    )


def _importer(rng: random.Random) -> Job:
    user, tenant, _ = rng.choice(USERS)
    file = f"orders-{rng.randint(100_000, 999_999)}.csv"
    profile = PROFILES["importer"]
    dropped = rng.random() < 0.04

    def calls() -> Iterator[Call]:
        yield tool(rng, "fetch_file", 600, {"file": file}, {"rows": 300})
        yield model_call(rng, profile, "map columns", profile.base_context, 160)
        if dropped:
            yield Call(
                "tool",
                "upsert_rows",
                around(rng, 3_000),
                status="error",
                error_type="constraint",
                error_message="column total is not a number in row 41",
                args={"table": "orders", "file": file, "part": 1},
            )
            return
        for part in range(rng.randint(2, 4)):
            rows = rng.randint(60, 100)
            yield tool(rng, "upsert_rows", 700, {"table": "orders", "file": file, "part": part}, {"rows": rows})

    return Job(
        session=_session(rng),
        title=f"import {file}",
        user=user,
        tenant=tenant,
        prompt_hash=profile.prompt_hash,
        calls=calls(),
        question=f"Import {file} of {tenant}",
        answer="" if dropped else "Imported.",
        pause_ms=around(rng, 11_000),
        status="error" if dropped else "ok",
        error_type="constraint" if dropped else None,
    )


_MAKERS: dict[str, Callable[[random.Random], Job]] = {
    "search-api": _search,
    "triage": _triage,
    "billing-bot": _billing,
    "mailer": _mailer,
    "importer": _importer,
}
