"""How a report looks: one style sheet, light and dark, wide and narrow."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #17181a; --soft: #5d6067;
  --hair: #e4e4e0; --blue: #2a6fc9; --orange: #d9662b; --track: #eceef1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141517; --card: #1d1f22; --ink: #ecedee; --soft: #a2a6ad;
    --hair: #303338; --blue: #6ba4ee; --orange: #ee9360; --track: #2a2d32;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1200px; padding: 28px 20px 60px;
  background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: 26px; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 40px 0 4px; }
h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 14px; max-width: 75ch; }
.soft, figcaption { color: var(--soft); font-size: 13px; }
.soft { max-width: none; }
.num { font-variant-numeric: tabular-nums; white-space: nowrap; }
.card {
  background: var(--card); border: 1px solid var(--hair); border-radius: 10px;
  padding: 14px 16px;
}
.grid { display: grid; gap: 16px; align-items: start; }
.samples { grid-template-columns: repeat(auto-fill, minmax(min(100%, 200px), 1fr)); }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
.runs { gap: 20px; }
.two { grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { margin-top: 8px; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-weight: 600; }
img { display: block; max-width: 100%; height: auto; image-rendering: pixelated; }
.samples .wide { grid-column: span 2; }
.samples img { width: 100%; border-radius: 4px; }
.strip {
  display: grid; gap: 10px; margin-top: 10px;
  grid-template-columns: repeat(auto-fill, minmax(min(21%, 118px), 1fr));
}
.six img { box-shadow: 0 0 0 1px var(--hair); }
h3 + pre { margin-top: 10px; }
.strip.six { grid-template-columns: repeat(6, minmax(0, 1fr)); }
.strip img { width: 100%; border-radius: 3px; }
.strip span { color: var(--soft); font-size: 12px; }
dl { display: grid; grid-template-columns: 1fr max-content; gap: 0; margin: 8px 0 0;
  font-size: 13px; }
dt { color: var(--soft); overflow-wrap: anywhere; }
dt, dd { padding: 3px 0; border-bottom: 1px solid var(--hair); }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
pre {
  margin: 0; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 12px/1.5 ui-monospace, Menlo, Consolas, monospace;
}
table { border-collapse: collapse; width: 100%; font-size: 14px; }
.scroll { overflow-x: auto; padding: 4px 6px; }
th, td { padding: 8px 8px; text-align: right; border-bottom: 1px solid var(--hair); }
th { color: var(--soft); font-weight: 500; font-size: 13px; vertical-align: bottom; }
th small { display: block; font-size: 11px; white-space: normal; }
th:first-child, td:first-child, th.word, td.word { text-align: left; }
td:first-child { font-weight: 600; }
tr:last-child td { border-bottom: 0; }
.length { display: grid; gap: 2px 14px; align-items: center; margin-top: 10px;
  grid-template-columns: minmax(90px, 190px) 1fr 150px; }
.length b { font-weight: 500; overflow-wrap: anywhere; }
.track { display: flex; height: 18px; background: var(--track); border-radius: 4px;
  overflow: hidden; }
.track { position: relative; }
.track i { display: block; }
.track .floor { position: absolute; top: 0; bottom: 0; width: 2px; }
.floor, .key.floor { background: var(--ink); }
.key.floor { width: 2px; margin-left: 4px; }
tr.floor { background: none; color: var(--soft); font-style: italic; }
.rate, .key.rate { background: var(--orange); }
.distortion, .key.distortion { background: var(--blue); }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px;
  margin-right: 5px; }
figcaption .key { margin-left: 12px; }
.key.s0 { background: var(--blue); } .key.s1 { background: var(--orange); }
svg { display: block; width: 100%; height: auto; margin-top: 6px; }
svg text { fill: var(--soft); font-size: 11px; font-family: inherit; }
svg .grid { stroke: var(--hair); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg .band { stroke: none; opacity: 0.22; }
svg .line.s0 { stroke: var(--blue); } svg .line.s1 { stroke: var(--orange); }
svg .band.s0, svg circle.s0 { fill: var(--blue); }
svg .band.s1, svg circle.s1 { fill: var(--orange); }
svg .bar { fill: var(--blue); }
svg .whisker { stroke: var(--ink); stroke-width: 1.2; }
svg .level { stroke: var(--orange); stroke-width: 1.4; stroke-dasharray: 5 4; }
@media (max-width: 760px) {
  body { padding: 18px 12px 40px; }
  table, tbody, tr, td { display: block; }
  thead { display: none; }
  .scroll { padding: 0 14px; }
  tr { padding: 10px 0; border-bottom: 1px solid var(--hair); }
  tr:last-child { border-bottom: 0; }
  td, td.word { display: flex; justify-content: space-between; gap: 12px;
    padding: 2px 0; border: 0; text-align: right; }
  td.none { display: none; }
  td::before { content: attr(data-name); color: var(--soft); font-weight: 400; }
  td:first-child { display: block; padding-bottom: 4px; }
  td:first-child::before { content: none; }
  .samples { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; }
  .samples .card { padding: 9px 10px; }
  .samples .wide { grid-column: 1 / -1; }
  .strip.six { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .length { grid-template-columns: 1fr max-content; }
  .length .track { grid-column: 1 / -1; order: 3; }
}
"""
