// What the kernel's worker loads as Pyodide: the same, with the packages and imports of a first answer.
// The page starts the worker itself as soon as it opens (start_worker.js): the work is then under way when the notebook asks for it.
import { loadPyodide as load } from "./pyodide.mjs?VERSION";

const START = "START";
const HERE = new URL("./", import.meta.url).href;
let told = { stdout: console.log, stderr: console.error };
let running = null;

export function begin() {
  running ??= start();
  return running;
}

async function start() {
  const pyodide = await load({
    indexURL: HERE,
    env: START.env,
    packages: START.packages,
    stdout: (text) => told.stdout(text),
    stderr: (text) => told.stderr(text),
  });
  pyodide.pyimport("tinyllm_magic_site.on_import").start(`${HERE}on_import/`, JSON.stringify(START.imports));
  return pyodide;
}

// The worker's own call: what it tells of packages is what is loaded here.
export async function loadPyodide({ stdout, stderr }) {
  told = { stdout, stderr };
  return begin();
}
