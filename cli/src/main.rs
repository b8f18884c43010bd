//! `cordon`: what a responder, an approver or an auditor types.

mod archive_command;
mod datakey_command;
mod evidence_command;
mod function;
mod plan_command;
mod proof_command;
mod report_command;
mod run_command;
mod source;

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
        eprintln!("error: {error:#}");
        ExitCode::from(1)
    })
}
