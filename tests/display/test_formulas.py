import pytest

from tinyllm_magic.display import formulas, html_text, markup


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{a}{b} \le \sqrt[3]{x} \, \alpha_1 \% \{x\}",
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        r"\left( \sum_{i=1}^{n} \mathbf{x}_i \right) \text{ if } x \ne 0 \tag{1}",
        r"\begin{align*} a &= b \\ c &= d \end{align*}",
        "x + y",
    ],
)
def test_a_formula_of_known_commands_is_typeset(tex):
    assert "mathjax_process" in markup.render(f"$${tex}$$")


@pytest.mark.parametrize(
    "tex",
    [
        r"\definecolor{red}{rgb}{0,0,1}",
        r"\Newextarrow{\x}{5,5}{0x21}",
        r"\label{eq:1}",
        r"\newtagform{x}{[}{]}",
        r"\mathtoolsset{showonlyrefs}",
        r"\DeclareMathOperator{\a}{b}",
        r"\DeclareRobustCommand\alpha{x}",
        r"\newcommand{\alpha}{x}",
        r"\providecommand{\z}{x}",
        r"\let\alpha=\beta",
        r"\gdef\alpha{x}",
        r"\setcounter{equation}{5}",
        r"\begin{equation}\label{a}\end{equation}",
        r"\begin{verbatim}x\end{verbatim}",
        r"\begin {verbatim}x\end{verbatim}",
        r"\href{javascript:alert(1)}{x}",
        r"\require{html}",
        r"\unknownmacro",
    ],
)
def test_a_formula_that_could_change_the_notebooks_own_formulas_stays_text(tex):
    html = markup.render(f"$${tex}$$")
    assert "mathjax_process" not in html
    assert not formulas.is_harmless(tex)
    assert html_text.escape(tex) in html


@pytest.mark.parametrize("name", ["align", "alignat", "eqnarray", "equation", "gather", "multline"])
def test_an_answer_takes_no_number_of_the_notebooks_own_equations(name):
    html = markup.render(f"$$\\begin{{{name}}} a \\end {{{name}}}$$")
    assert f"\\begin{{{name}*}} a \\end {{{name}*}}" in html
    assert "mathjax_process" in html


def test_formulas_without_numbers_stay_as_they_are():
    tex = r"\begin{align*} \begin{aligned} a \end{aligned} \end{align*} \begin{cases} b \end{cases}"
    assert formulas.drop_numbers(tex) == tex
