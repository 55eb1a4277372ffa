"""What goes wrong in the demo: a loop that nothing inside the agent ends, and an undeclared write."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from console.demo.jobs import email_effect, tool
from console.demo.script import PROFILES, Call, Job, around, model_call

LOOP_PROMPT = "p-3f9c"  # released with the fault: the healthy runs before it have another prompt hash
LOOP_REFUND = 8841
OLD_LOOP_REFUND = 8790
TELLS_AGAIN = (2, 4, 6)  # rounds


def faulty_job(agent: str, rng: random.Random) -> Job | None:
    """The fault of `agent`, or None where it has none."""
    if agent == "billing-bot":
        return runaway(rng)
    if agent == "importer":
        return undeclared_export(rng)
    return None


def runaway(rng: random.Random, refund: int = LOOP_REFUND, rounds: int | None = None) -> Job:
    """search_invoices and get_page over a growing context, forever, or `rounds` times and then capped.

    Now and then it thinks it has found the invoice and tells the customer and the CRM again, with the
    idempotency key of the first time: these are the duplicates of the blast radius.
    """
    profile = PROFILES["billing-bot"]
    user, tenant, address = "u-1093", "acme", "jane.doe@acme.example"

    def calls() -> Iterator[Call]:
        context = profile.base_context
        for turn in itertools.count(1) if rounds is None else range(1, rounds + 1):
            yield model_call(rng, profile, "plan" if turn == 1 else "look again", context, 70)
            found = {"found": 1, "page": 1, "next": "page 2", "note": "the result is on the next page"}
            yield tool(rng, "search_invoices", 280, {"customer": user, "refund": refund}, found)
            context = _grown(context, rng)
            yield model_call(rng, profile, "read on", context, 60)
            yield tool(rng, "get_page", 210, {"page": 2}, {"rows": 0, "note": "no rows; search again"})
            context = _grown(context, rng)
            if turn in TELLS_AGAIN or turn % 40 == 0:
                yield from _tell_again(rng, refund, user, address)

    return Job(
        session=f"s-{rng.getrandbits(32):08x}",
        title=f"handle refund #{refund}",
        user=user,
        tenant=tenant,
        prompt_hash=LOOP_PROMPT,
        calls=calls(),
        question=f"{address} asks for refund {refund}",
        answer="",
        pause_ms=around(rng, 4_000),
        status="capped",
        error_type="step_cap",
    )


def undeclared_export(rng: random.Random) -> Job:
    """An import that also calls export_csv: a write that agents.toml does not declare."""
    profile = PROFILES["importer"]
    file = f"orders-{rng.randint(100_000, 999_999)}.csv"

    def calls() -> Iterator[Call]:
        yield tool(rng, "fetch_file", 600, {"file": file}, {"rows": 4_000})
        yield model_call(rng, profile, "map columns", profile.base_context, 160)
        yield tool(rng, "upsert_rows", 700, {"table": "orders", "file": file, "part": 0}, {"rows": 80})
        target = f"sftp://drop.partner.example/{file}"
        yield tool(rng, "export_csv", 1_900, {"table": "customers", "to": target}, {"rows": 4_000})

    return Job(
        session=f"s-{rng.getrandbits(32):08x}",
        title=f"import {file}",
        user="u-2040",
        tenant="globex",
        prompt_hash=profile.prompt_hash,
        calls=calls(),
        question=f"Import {file} of globex",
        answer="Imported. Also exported the customers for convenience.",
        pause_ms=around(rng, 9_000),
    )


def _grown(context: int, rng: random.Random) -> int:
    """Each answer is put back into the prompt; a context that is nearly full is cut, and the loop goes on."""
    context += rng.randint(600, 1_100)
    return context if context < 150_000 else 90_000


def _tell_again(rng: random.Random, refund: int, user: str, address: str) -> Iterator[Call]:
    key = f"rf-{refund}-1"
    yield tool(rng, "update_crm", 190, {"customer": user, "note": f"refund {refund} approved"}, {"ok": True})
    args: dict[str, object] = {"to": address, "subject": "Your refund"}
    effect = email_effect(address, key, f"ms-{rng.getrandbits(24):06x}")
    yield tool(rng, "send_email", 380, args, {"queued": True}, effect)
