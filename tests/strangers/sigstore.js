// Checks a Sigstore bundle with Sigstore's own library and a public key.
//
//   node sigstore.js BUNDLE KEY.pem [ARTIFACT]
//
// A record is a bundle around its statement; a checkpoint's bundle is over the text of its note, which is the ARTIFACT.
import { readFileSync } from "node:fs";
import { createPublicKey } from "node:crypto";
import { bundleFromJSON } from "@sigstore/bundle";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";

const [bundlePath, keyPath, artifactPath] = process.argv.slice(2);
try {
  const bundle = bundleFromJSON(JSON.parse(readFileSync(bundlePath, "utf8")));
  const publicKey = createPublicKey(readFileSync(keyPath));
  const trusted = { mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1", tlogs: [], ctlogs: [], certificateAuthorities: [], timestampAuthorities: [] };
  const material = toTrustMaterial(trusted, () => ({ publicKey, validFor: () => true }));
  // Nothing here went through public logs or timestamp authorities: the signature is what is checked.
  const verifier = new Verifier(material, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
  verifier.verify(toSignedEntity(bundle, artifactPath ? readFileSync(artifactPath) : undefined));
  console.log("verified");
} catch (error) {
  console.error(`refused: ${error.message}`);
  process.exit(1);
}
