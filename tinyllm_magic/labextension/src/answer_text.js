/** An answer as the text of a new cell: Markdown that loads nothing and runs nothing, or the code that stands in it. */
import { markdownLanguage } from '@codemirror/lang-markdown';

const PYTHON = ['', 'python', 'py', 'python3', 'ipython'];
const CODE = ['FencedCode', 'CodeBlock', 'InlineCode'];
const LOADS_OR_RUNS = 'img, picture, script, style, link, meta, base, iframe, object, embed, svg, math, video, audio, source, form, button';
const DOLLARS = /\\\$|\$\$[^]+?\$\$|\$(?=\S)[^$\n]*?[^$\s]\$(?!\d)|\$/g; // formulas, else money
const COMMAND = /\\(?:(begin|end)\{([a-zA-Z]*)\*?\}|[a-zA-Z]+)/g;
const ENVIRONMENTS = ['align', 'aligned', 'bmatrix', 'cases', 'equation', 'gather', 'matrix', 'pmatrix', 'vmatrix'];

/** Commands of LaTeX that draw and do nothing else: MathJax has others that run script or load extensions. */
const HARMLESS = new Set(
  `alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi varphi chi psi
  omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega hbar ell Re Im partial infty prime emptyset varnothing nabla angle forall
  exists neg pm mp times div ast star circ bullet cdot cap cup vee wedge land lor setminus oplus ominus otimes odot dagger le leq ge geq ne
  neq equiv sim simeq approx cong propto prec succ ll gg subset supset subseteq supseteq in ni notin mid parallel perp leftarrow rightarrow
  to leftrightarrow Leftarrow Rightarrow Leftrightarrow longrightarrow implies iff mapsto uparrow downarrow sum prod int iint oint arccos
  arcsin arctan arg cos cosh cot csc deg det dim exp gcd inf ker lim liminf limsup ln log max min Pr sec sin sinh sup tan tanh operatorname
  frac dfrac tfrac sqrt binom stackrel overset underset overline underline overbrace underbrace hat widehat tilde widetilde bar vec dot ddot
  boxed limits left right big Big bigg Bigg langle rangle lfloor rfloor lceil rceil vert Vert mathrm mathbf mathit mathsf mathtt mathcal
  mathfrak mathbb boldsymbol text textrm textbf textit displaystyle quad qquad cdots ldots dots vdots ddots`.split(/\s+/)
);

const isHarmless = (command, mark, environment) => (mark ? ENVIRONMENTS.includes(environment) : HARMLESS.has(command.slice(1)));

/** Markdown of an answer for a cell; `parser` is the notebook's own, by which the outcome is judged. */
export async function writeMarkdown(answer, parser) {
  const text = escapeProse(answer);
  return (await isQuiet(text, parser)) ? text : fence(answer);
}

/** The answer with images and raw HTML as text outside of code, and unknown commands of LaTeX as code. */
function escapeProse(answer) {
  let text = '';
  let done = 0;
  for (const { from, to } of findCode(answer)) {
    text += escape(answer.slice(done, from)) + answer.slice(from, to);
    done = to;
  }
  return text + escape(answer.slice(done));
}

function escape(prose) {
  const isAmbiguous = prose.indexOf('$') !== prose.lastIndexOf('$');
  const plain = prose
    .replace(/</g, '&lt;')
    .replace(/!\[/g, '!\\[')
    .replace(DOLLARS, found => (found === '$' && isAmbiguous ? '\\\\$' : found)); // MathJax takes `\$` as a dollar
  return plain.replace(COMMAND, (command, ...found) => (isHarmless(command, ...found) ? command : `\`${command}\``));
}

/** Where code stands in Markdown, as `{from, to}`. */
function findCode(text) {
  const found = [];
  markdownLanguage.parser.parse(text).iterate({
    enter({ name, from, to }) {
      if (CODE.includes(name)) {
        found.push({ from, to });
      }
      return !CODE.includes(name);
    }
  });
  return found;
}

/** Whether Markdown as the notebook draws it loads nothing, runs nothing, and holds no formula that could. */
async function isQuiet(text, parser) {
  const page = new DOMParser().parseFromString(await parser.render(text), 'text/html');
  const attributes = [...page.body.querySelectorAll('*')].flatMap(element => [...element.attributes]);
  if (page.querySelector(LOADS_OR_RUNS) || attributes.some(({ name, value }) => /^on/.test(name) || /^\s*javascript:/i.test(value))) {
    return false;
  }
  page.querySelectorAll('code, pre').forEach(code => code.remove());
  return [...page.body.textContent.matchAll(COMMAND)].every(found => isHarmless(...found));
}

/** Any text between fences longer than those in it. */
function fence(text) {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const ticks = '`'.repeat(longest + 1);
  return `${ticks}text\n${text}\n${ticks}`;
}

/** The code of an answer: its blocks of Python and those in no language, else all of them; empty where there is no block. */
export function findCodeBlocks(answer) {
  const blocks = [];
  markdownLanguage.parser.parse(answer).iterate({
    enter({ name, node }) {
      if (name === 'FencedCode') {
        const info = node.getChild('CodeInfo');
        const language = info ? answer.slice(info.from, info.to).split(/[\s{]/)[0].toLowerCase() : '';
        blocks.push({ language, text: node.getChildren('CodeText').map(({ from, to }) => answer.slice(from, to)).join('') });
      }
    }
  });
  const own = blocks.filter(({ language }) => PYTHON.includes(language));
  return (own.length ? own : blocks).map(({ text }) => text).join('\n\n');
}
