#![doc = include_str!("../README.md")]

mod cause;
mod trouble;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextMut, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use ids::Timestamp;
use serde::{Deserialize, Serialize};

pub use cause::cause;
pub use trouble::{incomplete, trouble};

/// The wall clock. Called at the edge only; what thinks is given its time.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::saturating(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// One call, from the caller's side: attempts and waiting included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The service as the SDK names it: `EC2`, `DynamoDB`, `S3`, `KMS`.
    pub service: String,
    /// The operation: `ModifyNetworkInterfaceAttribute`.
    pub operation: String,
    /// The request id of the last answer, if one came.
    pub request_id: Option<String>,
    /// The HTTP status of the last answer; none if none came.
    pub status: Option<u16>,
    /// How often it was sent.
    pub attempts: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; none while it runs.
    pub ended: Option<Timestamp>,
}

/// The list of calls, shared by every client of a function.
#[derive(Debug, Clone, Default)]
pub struct CallLog(Arc<Mutex<Vec<Call>>>);

/// A place in the list: what comes after it belongs to the invocation that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

#[derive(Debug)]
struct Index(usize);

impl Storable for Index {
    type Storer = StoreReplace<Self>;
}

impl CallLog {
    /// The end of the list as it is.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.with(|calls| calls.len()))
    }

    /// The calls begun since `mark`.
    #[must_use]
    pub fn since(&self, mark: Mark) -> Vec<Call> {
        self.with(|calls| calls.get(mark.0..).unwrap_or_default().to_vec())
    }

    fn with<R>(&self, look: impl FnOnce(&mut Vec<Call>) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn update(&self, bag: &ConfigBag, change: impl FnOnce(&mut Call)) {
        if let Some(Index(index)) = bag.load::<Index>() {
            self.with(|calls| calls.get_mut(*index).map(change));
        }
    }
}

impl Intercept for CallLog {
    fn name(&self) -> &'static str {
        "CallLog"
    }

    fn modify_before_serialization(
        &self,
        _context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let metadata = bag.load::<Metadata>();
        let call = Call {
            service: metadata.map(|m| m.service().to_owned()).unwrap_or_default(),
            operation: metadata.map(|m| m.name().to_owned()).unwrap_or_default(),
            request_id: None,
            status: None,
            attempts: 0,
            started: now(),
            ended: None,
        };
        let index = self.with(|calls| {
            calls.push(call);
            calls.len() - 1
        });
        bag.interceptor_state().store_put(Index(index));
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.update(bag, |call| call.attempts = call.attempts.saturating_add(1));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(response) = context.response() {
            let header = |name| response.headers().get(name).map(str::to_owned);
            let request_id =
                header("x-amzn-requestid").or_else(|| header("x-amz-request-id")).or_else(|| header("x-amzn-request-id"));
            let status = response.status().as_u16();
            self.update(bag, |call| {
                call.request_id = request_id;
                call.status = Some(status);
            });
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        _context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.update(bag, |call| call.ended = Some(now()));
        Ok(())
    }
}

/// How many calls had to follow one another until the last of `wanted` had ended: the longest chain in which each began only after the
/// one before it had been answered.
#[must_use]
pub fn depth(calls: &[Call], wanted: impl Fn(&Call) -> bool) -> usize {
    let mut depths = vec![0; calls.len()];
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(|index| calls.get(*index).map(|call| call.started));
    let mut deepest = 0;
    for index in order {
        let Some(call) = calls.get(index) else { continue };
        let before = calls
            .iter()
            .zip(&depths)
            .filter(|(other, _)| other.ended.is_some_and(|ended| ended <= call.started && other.started < call.started));
        let depth = before.map(|(_, depth)| *depth).max().unwrap_or(0) + 1;
        if wanted(call) {
            deepest = deepest.max(depth);
        }
        if let Some(slot) = depths.get_mut(index) {
            *slot = depth;
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str, started: i64, ended: i64) -> Call {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        Call {
            service: "EC2".to_owned(),
            operation: operation.to_owned(),
            request_id: None,
            status: Some(200),
            attempts: 1,
            started: at(started),
            ended: Some(at(ended)),
        }
    }

    #[test]
    fn depth_counts_what_had_to_wait() {
        let calls = [
            call("Describe", 0, 10),
            call("Claim", 0, 8),
            call("Put", 11, 20),
            call("Swap", 21, 30),
            call("Swap", 21, 33),
            call("ReadBack", 34, 40),
        ];
        assert_eq!(depth(&calls, |call| call.operation == "Swap"), 3);
        assert_eq!(depth(&calls, |call| call.operation == "ReadBack"), 4);
        assert_eq!(depth(&calls, |call| call.operation == "Nothing"), 0);
    }
}
