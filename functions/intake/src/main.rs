//! The Lambda function `intake`.

use intake::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let get = |name: &'static str| std::env::var(name).ok();
    responder::log_to_stdout(get);
    let environment = Environment::load(get)?;
    responder::serve(async |event: &[u8], invocation: &responder::Invocation| {
        Ok(intake::handle(event, invocation, &environment).await)
    })
    .await
}
