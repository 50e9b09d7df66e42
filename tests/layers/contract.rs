//! What every layer promises, as tests to be made for any layer.
//!
//! ```ignore
//! contract_tests!(my_layer, || MyLayer::default());
//! // A layer whose errors are answers, and one that keeps state:
//! contract_tests!(my_edge, || MyEdge::default(), errors: answered);
//! contract_tests!(my_limit, || MyLimit::new(1), state: async |layer, services| { .. });
//! // One that reads an answer before it hands it on, and answers an error for one that breaks by then:
//! contract_tests!(my_guard, || MyGuard::new(), bodies: held);
//! // One that does so too, and hands on what breaks by then as it is:
//! contract_tests!(my_hedge, || MyHedge::new(), bodies: read_ahead);
//! // One that reads JSON, and only that, to its end before it hands it on:
//! contract_tests!(my_normalizer, || MyNormalizer::new(), bodies: json_held);
//! ```
//!
//! The tests run inside tokio's runtime in paused time. The layer must pass a chat request for the model `fast`, and may
//! do with it what it likes. If it takes a secret, let it be [`SECRET`]. The closure after `state:` is given the layer and
//! two services that must share its state, each with what its inner service saw, and makes sure of it: by a change through
//! a handle, or by using up with one what the other then lacks.

mod endings;
mod passing;
mod readiness;

use std::{fmt::Debug, sync::Arc};

use http::{Request, Response};
use tokio_test::{assert_ready, task};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_relay::message::{RequestBody, ResponseBody};
use tower_service::Service;

pub(crate) use self::{endings::*, passing::*, readiness::*};
use crate::probe::{Probe, Seen};

/// What must never be shown: it stands in the tests' requests and answers, and should be the key of a layer that has one.
pub(crate) const SECRET: &str = "sk-hush-4711";

/// Makes the tests of one layer, in a module of its name.
macro_rules! contract_tests {
    ($name:ident, $make:expr $(, errors: $errors:ident)? $(, bodies: $bodies:ident)? $(, state: $state:expr)?) => {
        mod $name {
            #[allow(unused_imports, reason = "not every layer's expression needs them")]
            use super::*;
            use $crate::contract;

            #[tokio::test(start_paused = true)]
            async fn the_instance_that_was_ready_is_the_one_called() {
                contract::calls_what_was_ready(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn an_unready_inner_service_is_waited_for() {
                contract::waits_for_readiness(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn repeated_polls_for_readiness_change_nothing() {
                contract::readiness_is_idempotent(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn a_dropped_future_lets_go_of_the_inner_one() {
                contract::drops_the_future(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn unknown_endpoints_stream_through_untouched() {
                contract::passes_unknown_endpoints(($make)()).await;
            }

            #[tokio::test(start_paused = true)]
            async fn services_bodies_and_futures_go_between_threads() {
                contract::crosses_threads(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn debug_shows_no_secret() {
                contract::shows_no_secret(($make)());
            }

            contract_tests!(@errors $make $(, $errors)?);
            contract_tests!(@bodies $make $(, $bodies)?);
            $(contract_tests!(@state $make, $state);)?
        }
    };
    (@errors $make:expr) => {
        #[tokio::test(start_paused = true)]
        async fn foreign_errors_pass_unchanged() {
            contract::passes_errors(($make)());
        }
    };
    (@errors $make:expr, answered) => {
        #[tokio::test(start_paused = true)]
        async fn foreign_errors_become_answers() {
            contract::answers_errors(($make)());
        }
    };
    (@bodies $make:expr) => {
        #[tokio::test(start_paused = true)]
        async fn an_answer_settles_once_however_it_ends() {
            contract::settles_once(($make)());
        }

        #[tokio::test(start_paused = true)]
        async fn a_broken_answer_stays_broken() {
            contract::passes_a_broken_body(($make)()).await;
        }
    };
    (@bodies $make:expr, held) => {
        #[tokio::test(start_paused = true)]
        async fn an_answer_that_is_left_while_it_is_held_settles_once() {
            contract::settles_what_it_holds(($make)());
        }

        #[tokio::test(start_paused = true)]
        async fn a_broken_answer_becomes_an_error() {
            contract::answers_a_broken_body(($make)());
        }
    };
    (@bodies $make:expr, read_ahead) => {
        #[tokio::test(start_paused = true)]
        async fn an_answer_that_is_left_while_it_is_held_settles_once() {
            contract::settles_what_it_holds(($make)());
        }

        #[tokio::test(start_paused = true)]
        async fn a_broken_answer_stays_broken() {
            contract::passes_a_broken_body(($make)()).await;
        }
    };
    (@bodies $make:expr, json_held) => {
        #[tokio::test(start_paused = true)]
        async fn an_answer_settles_once_however_it_ends() {
            contract::settles_once_with_its_json_held(($make)());
        }

        #[tokio::test(start_paused = true)]
        async fn a_broken_answer_stays_broken() {
            contract::passes_a_broken_body(($make)()).await;
        }
    };
    (@state $make:expr, $state:expr) => {
        #[tokio::test(start_paused = true)]
        async fn clones_share_state() {
            let layer = ($make)();
            let services = contract::cloned(&layer);
            ($state)(layer, services).await;
        }

        #[tokio::test(start_paused = true)]
        async fn services_of_one_layer_share_state() {
            let layer = ($make)();
            let services = contract::layered_twice(&layer);
            ($state)(layer, services).await;
        }

        #[tokio::test(start_paused = true)]
        async fn services_of_a_cloned_layer_share_state() {
            let layer = ($make)();
            let services = [contract::probed(&layer), contract::probed(&layer.clone())];
            ($state)(layer, services).await;
        }
    };
}

/// A service as all layers make it.
pub(crate) trait Stack:
    Service<Request<RequestBody>, Response = Response<ResponseBody>, Error: Debug, Future: Send>
    + Clone
    + Debug
    + Send
    + Sync
{
}

impl<S> Stack for S where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>, Error: Debug, Future: Send>
        + Clone
        + Debug
        + Send
        + Sync
{
}

/// A chat request with secrets in it.
pub(crate) fn chat() -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {SECRET}"))
        .body(RequestBody::json(format!(
            r#"{{"model":"fast","messages":[{{"role":"user","content":"{SECRET}"}}]}}"#
        )))
        .unwrap()
}

/// A service on a probe, and what the probe saw.
pub(crate) type Probed<S> = (S, Arc<Seen>);

pub(crate) fn probed<L: Layer<Probe>>(layer: &L) -> Probed<L::Service> {
    let (probe, seen) = Probe::new();
    (layer.layer(probe), seen)
}

/// Two services of one layer, each on a probe of its own.
pub(crate) fn layered_twice<L: Layer<Probe>>(layer: &L) -> [Probed<L::Service>; 2] {
    [probed(layer), probed(layer)]
}

/// A service and its clone.
pub(crate) fn cloned<L: Layer<Probe, Service: Clone>>(layer: &L) -> [Probed<L::Service>; 2] {
    let one = probed(layer);
    [one.clone(), one]
}

/// The answer of a service that has all it needs.
fn answer<S: Stack>(service: S, request: Request<RequestBody>) -> Response<ResponseBody> {
    let mut call = task::spawn(service.oneshot(request));
    assert_ready!(call.poll()).unwrap()
}
