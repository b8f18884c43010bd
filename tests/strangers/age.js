// Opens an age file with age's implementation in TypeScript, which shares no code with the one in Rust, and writes what is in it.
//
//   node age.js IDENTITIES FILE
import { readFileSync, writeSync } from "node:fs";
import { Decrypter } from "age-encryption";

const [identities, file] = process.argv.slice(2);
try {
  const decrypter = new Decrypter();
  const lines = readFileSync(identities, "utf8").split("\n").filter((line) => line && !line.startsWith("#"));
  lines.forEach((line) => decrypter.addIdentity(line));
  const opened = await decrypter.decrypt(readFileSync(file));
  for (let at = 0; at < opened.length; ) at += writeSync(1, opened, at);
} catch (error) {
  console.error(`refused: ${error.message}`);
  process.exit(1);
}
