// Runs at publishing, in Node: finds the modules that a page imports until its first answer, and compiles them.
// Pyodide reads its standard library and its packages as source, and compiling in a browser takes most of a kernel's start.
//
// node first_answer.mjs JOB.json: {core: folder, wheels: {file: "library" or "site"}, notebook: {name, files, cells},
// modules: null, or what to compile without looking for it, out: archive of name -> bytecode, imports: list of what was imported}
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { loadPyodide } = await import(pathToFileURL(`${job.core}/pyodide.mjs`));
// Without the columns of each instruction, which only underline a line of source, bytecode is a quarter smaller.
const env = { HOME: "/home/pyodide", PYTHONNODEBUGRANGES: "1" };
const pyodide = await loadPyodide({ indexURL: `${job.core}/`, env });
pyodide.FS.mkdirTree("/wheels");
const wheels = Object.entries(job.wheels).map(([file, place], number) => {
  pyodide.FS.writeFile(`/wheels/${number}.zip`, new Uint8Array(readFileSync(file)));
  return [`/wheels/${number}.zip`, place];
});
pyodide.FS.writeFile("/job.json", JSON.stringify({ wheels, notebook: job.notebook, modules: job.modules }));
await pyodide.runPythonAsync(readFileSync(new URL("compile_modules.py", import.meta.url), "utf8"));
writeFileSync(job.out, pyodide.FS.readFile("/out.zip"));
if (!job.modules) writeFileSync(job.imports, pyodide.FS.readFile("/imports.json"));
