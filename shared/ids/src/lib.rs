#![doc = include_str!("../README.md")]

mod access;
mod credentials;
mod digest;
mod names;
mod time;

pub use access::{EntitlementName, GrantId, RecipientKey, RoleArn, SourceIdentity, Ticket};
pub use credentials::{AccessKeyId, PrincipalId, RoleName, SessionName, UserName};
pub use digest::{Hasher, ParseDigestError, Sha256};
pub use names::{
    AccountId, EniId, FindingId, FunctionName, IncidentId, InstanceId, ParseIdError, Region, RuleName, SessionId, SgId, SignalId,
    SubnetId, VpcId,
};
pub use time::{ParseTimestampError, Timestamp};
