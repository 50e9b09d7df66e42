//! What is counted, as the protocol has it.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Label, Unit};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    },
};
use opentelemetry_sdk::Resource;

use crate::{
    server::{self, Point, Reading},
    telemetry::conventions::{SCHEMA_URL, metric},
};

/// Everything is counted from `since` on: cumulative, as what Prometheus reads is.
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// All of `metrics`, as they were at `now`.
pub(super) fn batch(
    metrics: Vec<server::Metric>,
    resource: &Resource,
    since: SystemTime,
    now: SystemTime,
) -> ExportMetricsServiceRequest {
    let times = Times {
        since: nanos(since),
        now: nanos(now),
    };
    let scope = ScopeMetrics {
        scope: Some(InstrumentationScope {
            name: "tower-relay".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        }),
        metrics: metrics
            .into_iter()
            .filter_map(|one| encoded(one, times))
            .collect(),
        schema_url: SCHEMA_URL.to_owned(),
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.into()),
            scope_metrics: vec![scope],
            schema_url: String::new(),
        }],
    }
}

#[derive(Clone, Copy)]
struct Times {
    since: u64,
    now: u64,
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn encoded(one: server::Metric, times: Times) -> Option<Metric> {
    let unit = unit(&one.name, one.unit);
    let data = match one.points.first()?.reading {
        Reading::Count(_) => Data::Sum(Sum {
            data_points: numbers(one.points, times),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        Reading::Gauge(_) => Data::Gauge(Gauge {
            data_points: numbers(one.points, times),
        }),
        Reading::Histogram { .. } => Data::Histogram(Histogram {
            data_points: histograms(one.points, times),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Some(Metric {
        name: one.name.into(),
        description: one.text,
        unit: unit.to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    })
}

fn numbers(points: Vec<Point>, Times { since, now }: Times) -> Vec<NumberDataPoint> {
    let number = |Point { labels, reading }| {
        let (start, value) = match reading {
            Reading::Count(count) => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                (since, number_data_point::Value::AsInt(count))
            }
            // A gauge has no beginning.
            Reading::Gauge(value) => (0, number_data_point::Value::AsDouble(value)),
            Reading::Histogram { .. } => return None,
        };
        Some(NumberDataPoint {
            attributes: attributes(&labels),
            start_time_unix_nano: start,
            time_unix_nano: now,
            value: Some(value),
            ..NumberDataPoint::default()
        })
    };
    points.into_iter().filter_map(number).collect()
}

fn histograms(points: Vec<Point>, Times { since, now }: Times) -> Vec<HistogramDataPoint> {
    let histogram = |Point { labels, reading }| {
        let Reading::Histogram {
            bounds,
            counts,
            sum,
        } = reading
        else {
            return None;
        };
        Some(HistogramDataPoint {
            attributes: attributes(&labels),
            start_time_unix_nano: since,
            time_unix_nano: now,
            count: counts.iter().sum(),
            sum: Some(sum),
            bucket_counts: counts,
            explicit_bounds: bounds.to_vec(),
            ..HistogramDataPoint::default()
        })
    };
    points.into_iter().filter_map(histogram).collect()
}

fn attributes(labels: &[Label]) -> Vec<KeyValue> {
    let attribute = |label: &Label| KeyValue {
        key: label.key().to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(label.value().to_owned())),
        }),
        ..KeyValue::default()
    };
    labels.iter().map(attribute).collect()
}

/// The unit, as UCUM writes it.
fn unit(name: &str, unit: Option<Unit>) -> &'static str {
    match unit {
        Some(Unit::Seconds) => "s",
        Some(Unit::Milliseconds) => "ms",
        Some(Unit::Bytes) => "By",
        Some(Unit::Percent) => "%",
        _ => match name {
            metric::TOKENS | metric::BILLED_TOKENS => "{token}",
            metric::COST => "{USD}",
            _ => "",
        },
    }
}
