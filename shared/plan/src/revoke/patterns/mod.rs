//! One file for each kind of credential. A new kind is a file here, and a line below.

mod console_password;
mod federated;
mod identity_center;
mod instance_session;
mod role_session;
mod roles_anywhere;
mod root;
mod service_linked;
mod unnamed;
mod user_key;
mod user_session;
mod whole_role;

use super::pattern::Pattern;

/// The particular before the general: the first that matches is it.
pub(crate) static ALL: &[&Pattern] = &[
    &user_key::PATTERN,
    &console_password::PATTERN,
    &user_session::PATTERN,
    &federated::PATTERN,
    &identity_center::PATTERN,
    &service_linked::PATTERN,
    &instance_session::PATTERN,
    &roles_anywhere::PATTERN,
    &role_session::PATTERN,
    &whole_role::PATTERN,
    &root::PATTERN,
    &unnamed::PATTERN,
];
