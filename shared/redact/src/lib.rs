#![doc = include_str!("../README.md")]

mod config;
mod credentials;
mod personal;
mod redactor;
mod rule;
mod stream;

pub use config::{Config, ConfigError, Pattern, Personal};
pub use personal::is_public;
pub use redactor::{Counts, Redactor, Removed, RulesError};
pub use stream::{LONGEST, Stream};
