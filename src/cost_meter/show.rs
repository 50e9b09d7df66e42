//! The cost where the caller sees it.

use http::{HeaderName, HeaderValue, Response};
use memchr::memmem;
use serde_json::value::RawValue;

use super::pricing::Pricing;
use crate::{
    message::{Bill, Edited, ResponseBody, catalog::Cost, edit_answer, usage::UsageScan},
    wire::json::{Index, Kind},
};

/// The header that states what a request has cost, in USD, all attempts together.
pub const X_RELAY_COST_USD: HeaderName = HeaderName::from_static("x-relay-cost-usd");

/// Puts the cost of what `json` states into the head, added to that of the attempts before.
pub(super) fn in_header(
    response: &mut Response<ResponseBody>,
    json: &[u8],
    pricing: &Pricing,
    before: Cost,
) {
    if let Some(cost) = stated_in(json, pricing)
        && let Ok(value) = HeaderValue::from_str(&(before + cost).to_string())
    {
        response.headers_mut().insert(X_RELAY_COST_USD, value);
    }
}

/// Puts the cost beside the counts: `usage.cost`, in USD.
pub(super) fn in_body(
    response: Response<ResponseBody>,
    pricing: Pricing,
    bill: &Bill,
) -> Response<ResponseBody> {
    let before = bill.cost();
    edit_answer(response, move |json| {
        let shown = with_cost(json, &pricing, before);
        shown.map_or(Edited::Keep, Edited::Replace)
    })
}

fn with_cost(json: &[u8], pricing: &Pricing, before: Cost) -> Option<bytes::Bytes> {
    memmem::find(json, b"\"usage\"")?;
    let cost = stated_in(json, pricing)?;
    let index = Index::parse(json).ok()?;
    let members = index.members(json);
    let usage = members
        .get("usage")
        .filter(|usage| usage.kind() == Kind::Object)?;
    let counts = Index::parse(usage.raw()).ok()?;
    let mut inner = counts.members(usage.raw()).edit();
    inner.set(
        "cost",
        RawValue::from_string((before + cost).to_string()).ok()?,
    );
    let mut edit = members.edit();
    edit.set("usage", inner);
    Some(edit.into_text())
}

fn stated_in(json: &[u8], pricing: &Pricing) -> Option<Cost> {
    let mut scan = UsageScan::default();
    scan.body(json);
    pricing.cost(&scan.usage()?, scan.service_tier(), scan.cost())
}
