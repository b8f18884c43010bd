//! Asking the deployed function.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use clap::Args;
use serde_json::{Value, json};

use crate::aws;

/// Which function to ask.
#[derive(Debug, Args)]
pub(crate) struct Function {
    /// The deployed function's name or ARN (the stack's output `FunctionName`).
    #[arg(long = "function", value_name = "NAME", env = "CORDON_FUNCTION_NAME")]
    pub(crate) name: Option<String>,
}

/// Make the sealed security groups of VPCs ahead, so that containment need not.
///
/// The function does it, under its own role and with evidence. Without --vpc it prepares every VPC of the function's account and Region.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  cordon prepare --function cordon-Quarantine-1ABC
  cordon prepare --function cordon-Quarantine-1ABC --vpc vpc-0123456789abcdef0")]
pub(crate) struct Prepare {
    #[command(flatten)]
    function: Function,
    /// A VPC. Repeatable.
    #[arg(long, value_name = "VPC")]
    vpc: Vec<ids::VpcId>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn prepare(arguments: &Prepare) -> anyhow::Result<ExitCode> {
    let answer = invoke(&arguments.function, &json!({ "cordon": "prepare", "vpcs": arguments.vpc }))?;
    show(&answer, arguments.json)?;
    Ok(ExitCode::from(u8::from(!is(&answer, "Prepared"))))
}

/// Invokes the function and waits for its answer.
pub(crate) fn invoke(function: &Function, request: &Value) -> anyhow::Result<Value> {
    let name = function
        .name
        .as_ref()
        .ok_or_else(|| anyhow!("which function? Give --function NAME (the stack's output `FunctionName`)"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start")?;
    runtime.block_on(async {
        let config = aws::config().await?;
        let call = Client::new(&config).invoke().function_name(name).payload(Blob::new(request.to_string()));
        let answer = call.send().await.map_err(|error| anyhow!("could not invoke `{name}`: {}", why(&error)))?;
        let payload = answer.payload().map(AsRef::as_ref).unwrap_or_default();
        let payload: Value = serde_json::from_slice(payload).context("the function's answer is not JSON")?;
        if answer.function_error().is_some() {
            bail!(
                "the function failed: {}",
                payload.get("errorMessage").and_then(Value::as_str).unwrap_or("it does not say why; look at its log")
            );
        }
        Ok(payload)
    })
}

/// Why it could not be invoked. Lambda's own message goes to the one who asked.
fn why(error: &SdkError<InvokeError>) -> String {
    let said = error.message().map(|message| format!(": {message}")).unwrap_or_default();
    let to_do = match error.code() {
        Some("ResourceNotFoundException") => "; are --function, AWS_REGION and AWS_PROFILE those of the stack?",
        Some("AccessDeniedException") => "; you need lambda:InvokeFunction on it",
        _ => "",
    };
    calls::cause(error) + &said + to_do
}

/// Whether the answer's outcome is this word.
pub(crate) fn is(answer: &Value, outcome: &str) -> bool {
    answer.get("outcome").and_then(Value::as_str) == Some(outcome)
}

/// Prints an answer, for people or as it came.
pub(crate) fn show(answer: &Value, as_json: bool) -> anyhow::Result<()> {
    use std::io::Write as _;
    let text = if as_json {
        serde_json::to_string_pretty(answer)? + "\n"
    } else if answer.get("credentials").is_some() {
        crate::revoke_command::words(answer)
    } else {
        let line = |name: &str| answer.get(name).and_then(Value::as_str).map(|text| text.trim_end().to_owned());
        let head = format!("{}: {}", line("outcome").unwrap_or_default(), line("reason").unwrap_or_default());
        [Some(head), line("plan")].into_iter().flatten().map(|text| text + "\n").collect()
    };
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")
}
