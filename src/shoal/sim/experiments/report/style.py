"""The style sheet of reports, light and dark."""

STYLE = """
:root{color-scheme:light dark;--ink:#1c2733;--soft:#5d6b7a;--line:#e3e8ee;--back:#fff;
--card:#f8fafc;
--c1:#2367c9;--c2:#d9722b;--c3:#218a62;--c4:#b83a66;--c5:#7556c4;--c6:#1f93a8;--c7:#9a7b12;
--c8:#66707c}
@media(prefers-color-scheme:dark){:root{--ink:#e4eaf1;--soft:#98a6b5;--line:#2b3644;--back:#10161d;
--card:#161e27;--c1:#6ea8ff;--c2:#f09a5d;--c3:#54c497;--c4:#ef7fa4;--c5:#ac94f2;--c6:#5cc7da;
--c7:#d4b450;--c8:#a3adb8}}
body{margin:2rem auto;max-width:1180px;padding:0 1rem;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}
h2{margin:2.2rem 0 .6rem;font-size:1.2rem}h3{margin:1.4rem 0 .4rem;font-size:1rem}
p{max-width:75ch;color:var(--soft)}
figure{display:inline-block;vertical-align:top;width:min(100%,570px);margin:0 8px 14px 0;
padding:10px;box-sizing:border-box;background:var(--card);border:1px solid var(--line);
border-radius:8px}
figcaption{font-size:.87rem;margin-bottom:4px}svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font-size:11px}.grid{stroke:var(--line);fill:none}
.line{fill:none;stroke:currentColor;stroke-width:1.8}.thin{fill:none;stroke:currentColor;opacity:.55}
.band{fill:currentColor;opacity:.22}.bar,.dot{fill:currentColor}
.box{fill:currentColor;fill-opacity:.22;stroke:currentColor}
.heat{fill:color-mix(in oklab,var(--c1) var(--use),var(--card))}
.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}
.c6{color:var(--c6)}.c7{color:var(--c7)}.c8{color:var(--c8)}
.legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1.2rem}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;background:currentColor;
margin-right:6px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.87rem}
th,td{padding:4px 12px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}th:first-child{text-align:left;font-weight:500}
"""
