//! What flows through every layer.
//!
//! One currency: every layer is a service from [`http::Request`]`<`[`RequestBody`]`>` to
//! [`http::Response`]`<`[`ResponseBody`]`>`. What layers tell each other about a request stands in its extensions
//! ([`Endpoint`], [`RequestId`], [`Deadline`]), and what they tell about an answer in the answer's ([`Served`],
//! [`Rejection`], [`TransportError`], [`Outcome`]) and in its [`Completion`].

mod accounts;
mod allowed;
mod api_error;
mod bill;
mod body_error;
mod boxed;
mod cached;
pub mod catalog;
mod chosen;
mod completion;
mod config_error;
mod deadline;
mod endpoint;
pub mod estimate;
mod events;
pub(crate) mod features;
mod gather;
#[cfg_attr(
    not(all(feature = "cost-meter", feature = "timeout", feature = "commit-guard")),
    allow(dead_code, reason = "some give up, and others ask")
)]
mod giving_up;
mod held;
mod model_pattern;
mod or_refused;
mod outcome;
mod prompt;
mod rejection;
mod repeat;
mod request;
mod request_id;
mod require_usage;
mod rescue;
mod response;
mod scan;
mod selection;
mod served;
mod shadowed;
#[cfg(any(feature = "commit-guard", feature = "normalize"))]
mod silence;
mod tags;
mod trail;
mod transform;
mod transport;
pub mod usage;
mod watch;

#[cfg(feature = "normalize")]
pub(crate) use self::events::{Kept, MAX_JSON};
#[cfg(any(feature = "timeout", feature = "commit-guard"))]
pub(crate) use self::giving_up::give_up;
#[cfg(feature = "cost-meter")]
pub(crate) use self::giving_up::given_up_for;
#[cfg(any(feature = "commit-guard", feature = "normalize"))]
pub(crate) use self::silence::{Alarm, FellSilent, MaxSilence, Silence};
pub use self::{
    accounts::Accounts,
    allowed::{AllowedModels, AllowedUpstreams},
    api_error::{ApiError, Dialect},
    bill::{Bill, BillLine, CostSource, OpenLine},
    body_error::BodyError,
    cached::Cached,
    chosen::Chosen,
    completion::{Completion, End, Failure, Media},
    config_error::ConfigError,
    deadline::Deadline,
    endpoint::{Effects, Endpoint},
    events::{Edited, edit_answer},
    model_pattern::ModelPattern,
    or_refused::OrRefused,
    outcome::{
        Classify, FallBack, Outcome, Refusal, Retry, Verdict, classify, classify_error,
        classify_with,
    },
    prompt::Prompt,
    rejection::{Phase, Reason, Rejection},
    request::{RequestBody, edit, members},
    request_id::{RequestId, X_RELAY_REQUEST_ID},
    require_usage::{HideUsage, require_usage},
    response::ResponseBody,
    selection::Selection,
    served::{Served, X_RELAY_UPSTREAM},
    shadowed::Shadowed,
    tags::Tags,
    trail::{Trail, Wait},
    transform::{Output, Transform, transform},
    transport::TransportError,
};
pub(crate) use self::{
    api_error::{legible, may_be_illegible},
    completion::is_readable_json,
    gather::Gather,
    held::{HeldBytes, HeldCap},
    model_pattern::ByModel,
    outcome::{Ours, read_error},
    repeat::{Saved, copy, drain},
    require_usage::{UsageAsked, UsageWanted},
    rescue::{KeptDeadline, Rescue, Rescued, Rest},
    scan::{OutputWeight, has_output},
    served::name_upstream,
    transform::Fault,
    watch::Seen,
};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
