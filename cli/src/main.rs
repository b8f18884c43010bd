//! `cordon`: what a responder, an approver or an auditor types.

mod archive_command;
mod aws;
mod completeness_command;
mod datakey_command;
mod evidence_command;
mod function;
mod listing;
mod plan_command;
mod proof_command;
mod report_command;
mod run_command;
mod source;
mod spool;
mod trust_command;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Contain incidents on AWS, and prove what was done.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, propagate_version = true)]
struct Cordon {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check what was recorded, and record what you run.
    #[command(subcommand)]
    Evidence(evidence_command::Evidence),
    /// Show what would be done about a finding, without doing anything.
    Plan(plan_command::Plan),
    /// Make the sealed security groups of VPCs ahead, so that containment need not.
    Prepare(function::Prepare),
}

fn main() -> ExitCode {
    let done = match Cordon::parse().command {
        Command::Evidence(command) => evidence_command::run(&command),
        Command::Plan(command) => plan_command::run(&command),
        Command::Prepare(command) => function::prepare(&command),
    };
    done.unwrap_or_else(|error| {
        // `cordon … | head`: the reader has enough and is told nothing. What the answer would have been is unknown: not 0.
        if gone(&error) {
            return ExitCode::from(PIPE_CLOSED);
        }
        let _unheard = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::from(1)
    })
}

/// What a shell reports of a program that SIGPIPE ended: 128 + 13.
const PIPE_CLOSED: u8 = 141;

/// Whether it all came to whoever read our output having left.
fn gone(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}
