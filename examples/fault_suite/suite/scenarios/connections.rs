//! Connections that fail, before there is an answer.

use std::time::Duration;

use super::{
    Plan, Scenario,
    parts::{ARRIVAL, arrived, drip, first, half, head, send, stream},
};
use crate::suite::{
    check::Outcome,
    script::{Step, Then},
    stacks::Pace,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let broke = || Plan::transport(502, "upstream_error");
    let head_deadline = Plan::retried(504, "upstream_timeout").each(Pace::PAUSED.head);
    let part = || send("HTTP/1.1 200 OK\r\ncontent-type: applic");
    vec![
        Scenario::both(
            "refused",
            &vec![Step::Refuse],
            Plan::transport(502, "upstream_unreachable"),
        )
        .on_sockets(),
        Scenario::both("reset_at_once", &vec![Step::Unread, Step::Reset], broke()),
        Scenario::both("reset_before_head", &vec![Step::Reset], broke()).on_sockets(),
        Scenario::both("closed_before_head", &vec![Step::Close], broke()).on_sockets(),
        Scenario::both(
            "reset_in_head",
            &vec![part(), arrived(), Step::Reset],
            broke().each(ARRIVAL),
        )
        .on_sockets(),
        Scenario::both("closed_in_head", &vec![part(), Step::Close], broke()),
        Scenario::both("no_http", &vec![send("SSH-2.0-OpenSSH_9.9\r\n")], broke()),
        Scenario::both("silence", &vec![Step::Silence], head_deadline).on_sockets(),
        Scenario::both(
            "silence_in_head",
            &vec![part(), Step::Silence],
            head_deadline,
        ),
        Scenario::both(
            "drip_in_head",
            &vec![drip(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n",
            )],
            head_deadline,
        ),
        Scenario::both(
            "never_accepted",
            &vec![Step::AcceptAfterMs(3_600_000), Step::Answer],
            head_deadline,
        ),
        Scenario::both(
            "accepted_slowly",
            &vec![Step::AcceptAfterMs(2_000), Step::Answer],
            Plan::always(Outcome::Answer).each(Duration::from_secs(2)),
        ),
        Scenario::both("reset_once", &vec![Step::Reset], Plan::second((1, 1))).then(Then::Answer),
        Scenario::both(
            "flapping",
            &vec![head([
                "HTTP/1.1 503 Service Unavailable",
                "content-length: 0",
            ])],
            Plan::second((2, 0)),
        )
        .call(&vec![Step::Answer])
        .then(Then::StartOver),
        Scenario::new(
            "reset_in_body",
            (half([arrived(), Step::Reset]), broke().each(ARRIVAL)),
            (
                stream(&first(1), [arrived(), Step::Reset]),
                broke().each(ARRIVAL),
            ),
        )
        .on_sockets(),
    ]
}
