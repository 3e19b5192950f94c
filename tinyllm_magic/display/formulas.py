"""Which formulas of an answer MathJax may typeset: those whose every command is known to draw and to do nothing else.

MathJax runs ``javascript:`` links, loads extensions, and keeps macros, colours and labels for the notebook's own formulas. A list
of what is harmful would always lack the next extension, so the list is of what is harmless; any other formula is shown as text.
"""

from __future__ import annotations

import re

_COMMAND = re.compile(r"\\(?:([A-Za-z]+)|.)", re.DOTALL)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)(?:\s*\{([^{}]*)\})?")

_ENVIRONMENT_NAMES = """
    align align* aligned alignat alignat* alignedat array Bmatrix bmatrix cases dcases eqnarray eqnarray* equation equation*
    gather gather* gathered matrix multline multline* pmatrix rcases smallmatrix split subarray Vmatrix vmatrix
"""
_ENVIRONMENTS = frozenset(_ENVIRONMENT_NAMES.split())
_COMMAND_NAMES = """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu nu xi omicron pi varpi rho
    varrho sigma varsigma tau upsilon phi varphi chi psi omega digamma Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    varGamma varDelta varTheta varLambda varXi varPi varSigma varUpsilon varPhi varPsi varOmega aleph beth gimel daleth hbar
    hslash imath jmath ell wp Re Im partial infty prime backprime emptyset varnothing nabla surd top bot angle measuredangle
    sphericalangle triangle triangledown forall exists nexists neg lnot flat natural sharp clubsuit diamondsuit heartsuit
    spadesuit complement eth mho Bbbk checkmark maltese circledR circledS blacksquare square Box Diamond lozenge blacklozenge
    bigstar blacktriangle blacktriangledown pm mp times div ast star circ bullet cdot cap cup uplus sqcap sqcup vee wedge land lor
    setminus smallsetminus wr diamond bigtriangleup bigtriangledown triangleleft triangleright lhd rhd unlhd unrhd oplus ominus
    otimes oslash odot bigcirc dagger ddagger amalg ltimes rtimes divideontimes dotplus boxplus boxminus boxtimes boxdot barwedge
    veebar doublebarwedge centerdot intercal Cap Cup leftthreetimes rightthreetimes curlyvee curlywedge circledast circledcirc
    circleddash le leq ge geq ne neq equiv sim simeq approx approxeq cong propto asymp doteq doteqdot prec succ preceq succeq ll
    gg lll ggg subset supset subseteq supseteq subsetneq supsetneq subseteqq supseteqq sqsubset sqsupset sqsubseteq sqsupseteq in
    ni notin owns vdash dashv Vdash vDash Vvdash models perp mid nmid parallel nparallel bowtie Join smile frown leqslant geqslant
    leqq geqq lesssim gtrsim lessgtr gtrless eqslantless eqslantgtr risingdotseq fallingdotseq circeq triangleq bumpeq Bumpeq
    thicksim thickapprox backsim between pitchfork varpropto therefore because not nsim ncong nleq ngeq nless ngtr nprec nsucc
    nsubseteq nsupseteq lneq gneq trianglelefteq trianglerighteq vartriangle vartriangleleft vartriangleright coloneqq eqqcolon
    leftarrow gets rightarrow to leftrightarrow Leftarrow Rightarrow Leftrightarrow longleftarrow longrightarrow
    longleftrightarrow Longleftarrow Longrightarrow Longleftrightarrow implies impliedby iff mapsto longmapsto hookleftarrow
    hookrightarrow leftharpoonup leftharpoondown rightharpoonup rightharpoondown rightleftharpoons leftrightharpoons uparrow
    downarrow updownarrow Uparrow Downarrow Updownarrow nearrow searrow swarrow nwarrow leadsto rightsquigarrow twoheadrightarrow
    twoheadleftarrow curvearrowleft curvearrowright circlearrowleft circlearrowright nleftarrow nrightarrow nLeftarrow nRightarrow
    nleftrightarrow xleftarrow xrightarrow sum prod coprod int iint iiint oint bigcap bigcup bigsqcup bigvee bigwedge bigodot
    bigotimes bigoplus biguplus smallint arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf injlim ker lg
    lim liminf limsup ln log max min mod bmod pmod pod Pr projlim sec sin sinh sup tan tanh operatorname varlimsup varliminf frac
    dfrac tfrac cfrac sqrt root of binom dbinom tbinom over choose atop above brace brack stackrel overset underset substack
    overline underline overbrace underbrace overbracket underbracket overrightarrow overleftarrow overleftrightarrow
    underrightarrow underleftarrow widehat widetilde hat check breve acute grave tilde bar vec dot ddot dddot ddddot mathring
    boxed fbox cancel bcancel xcancel phantom hphantom vphantom smash sideset limits nolimits displaylimits left right middle big
    Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm Biggm lbrace rbrace lbrack rbrack langle rangle
    lfloor rfloor lceil rceil lvert rvert lVert rVert vert Vert lgroup rgroup lmoustache rmoustache ulcorner urcorner llcorner
    lrcorner backslash colon mathrm mathbf mathit mathsf mathtt mathcal mathscr mathfrak mathbb mathnormal boldsymbol bm pmb rm bf
    it sf tt cal text textrm textbf textit textsf texttt textnormal mbox hbox displaystyle textstyle scriptstyle scriptscriptstyle
    mathop mathbin mathrel mathord mathopen mathclose mathpunct mathinner tiny small normalsize large Large LARGE huge Huge
    scriptsize quad qquad enspace thinspace medspace thickspace negthinspace negmedspace negthickspace space cdots ldots dots
    dotsb dotsc dotsi dotsm dotso vdots ddots hline hdashline cr newline nonumber notag tag color textcolor S P AA pounds euro
    degree LaTeX TeX copyright yen
"""
_COMMANDS = frozenset(_COMMAND_NAMES.split())
_NUMBERED = re.compile(r"\\(begin|end)(\s*)\{(align|alignat|eqnarray|equation|gather|multline)\}")


def is_harmless(formula: str) -> bool:
    r"""Whether every command and environment of a formula is one that draws and does nothing else.

    >>> is_harmless(r"\frac{a}{b}"), is_harmless(r"\href{javascript:x}{a}"), is_harmless(r"\label{a}")
    (True, False, False)
    """
    if any(name not in _ENVIRONMENTS for name in _ENVIRONMENT.findall(formula)):
        return False
    names = (match[1] for match in _COMMAND.finditer(formula))
    return all(name is None or name in _COMMANDS or name in ("begin", "end") for name in names)


def drop_numbers(formula: str) -> str:
    r"""The formula without numbers of equations, where the page counts them: it would shift those of the notebook's own.

    >>> drop_numbers(r"\begin{align}a\end{align}")
    '\\begin{align*}a\\end{align*}'
    """
    return _NUMBERED.sub(r"\\\1\2{\3*}", formula)
