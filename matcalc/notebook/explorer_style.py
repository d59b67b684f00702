"""How the explorer looks: one style sheet in the colours of JupyterLab's theme, light or dark."""

from __future__ import annotations

# JupyterLab takes keys pressed on a button, a list or a tab for commands to the notebook: x cuts the cell, the arrows
# leave the panel.  It spares what bears this attribute.  In fields it knows that one types, and Ctrl-S still saves.
# The style sheet carries this since it is the one element of a panel that tells when it has arrived.
_KEEP_KEYS = (
    "this.closest('.matcalc-explorer')?.addEventListener('focusin',event=>{"
    "if(!event.target.matches('input[type=text],textarea'))"
    "event.target.setAttribute('data-lm-suppress-shortcuts','true')})"
)

STYLE = f'<style onload="{_KEEP_KEYS}">' + """
.matcalc-explorer{color:var(--jp-ui-font-color1,#111);padding:.3em .1em;max-width:1200px;overflow:visible!important}
.matcalc-explorer .widget-html,.matcalc-explorer .widget-htmlmath{margin-top:0;margin-bottom:0}
.matcalc-explorer .widget-html-content,.matcalc-explorer .widget-htmlmath-content{line-height:1.45;color:inherit;
min-width:0;overflow-wrap:break-word}
.matcalc-explorer input,.matcalc-explorer select,.matcalc-explorer option{color:var(--jp-ui-font-color1,#111)!important;
background-color:var(--jp-layout-color1,#fff)!important;border-color:var(--jp-border-color1,#999)!important}
.matcalc-explorer input[type=text],.matcalc-explorer select{font-size:var(--jp-ui-font-size1,13px)}
.matcalc-expression input,.matcalc-claim input,.matcalc-variables input{
font-family:var(--jp-code-font-family,monospace)!important}
.matcalc-explorer .widget-label,.matcalc-explorer .widget-inline-hbox .widget-label{color:var(--jp-ui-font-color1,#111)}
.matcalc-explorer input:focus,.matcalc-explorer select:focus,.matcalc-explorer button:focus-visible{
outline:2px solid var(--jp-brand-color1,#1976d2)!important;outline-offset:1px}
.matcalc-explorer .jupyter-button{color:var(--jp-ui-font-color1,#111);background-color:var(--jp-layout-color2,#eee)}
.matcalc-explorer .jupyter-button.mod-active{color:#fff;background-color:#1565c0}
.matcalc-explorer .widget-toggle-buttons .jupyter-button{width:auto;padding:0 .7em;min-width:2.4em}
.matcalc-told,.matcalc-quiet .widget-label{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
.matcalc-error pre{color:var(--jp-ui-font-color1,#111);background:rgba(211,47,47,.12);border-left:4px solid #d32f2f;
font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);line-height:1.35;
padding:.35em .7em;margin:.15em 0 .4em;white-space:pre-wrap;overflow-wrap:anywhere}
.matcalc-wrong input{border:2px solid #d32f2f!important}
.matcalc-stale{opacity:.35}
.matcalc-explorer .matcalc-note{color:var(--jp-ui-font-color2,#555)}
.matcalc-variables{max-height:19em;overflow-y:auto!important;overflow-x:hidden!important}
.matcalc-variables>*{flex:none}
.matcalc-variables .matcalc-row{align-items:center;overflow:visible}
.matcalc-variables code{font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);
background:none;color:inherit}
.matcalc-answer,.matcalc-claim-answer{min-width:0}
.matcalc-explorer>.widget-hbox{margin:.2em 0;gap:.2em 1em}
.matcalc-explorer .widget-toggle-buttons{display:flex;flex-flow:row wrap;align-items:center}
.matcalc-explorer .widget-toggle-buttons>.widget-label{margin-right:.6em}
.matcalc-explorer .matcalc-answer{border-left:4px solid var(--jp-brand-color1,#1976d2);padding:0 0 0 .9em}
.matcalc-answer>.widget-htmlmath-content,.matcalc-claim-answer>.widget-htmlmath-content{width:100%}
.matcalc-explorer .matcalc-tabs{margin-top:.6em}
.matcalc-explorer .matcalc-tabs .lm-TabBar-tab{color:var(--jp-ui-font-color1,#111)!important}
.matcalc-graph{overflow:auto;max-height:80em}
.matcalc-graph.matcalc-large svg{max-width:none}
.matcalc-graph svg{color:var(--jp-ui-font-color1,#111)}
.matcalc-code pre{user-select:all;font-family:var(--jp-code-font-family,monospace);
font-size:var(--jp-code-font-size,13px);line-height:1.35;white-space:pre;overflow:auto;max-height:36em;
padding:.6em;border:1px solid var(--jp-border-color2,#ccc);background:var(--jp-layout-color0,#fff);
color:var(--jp-ui-font-color1,#111)}
.matcalc-explorer .matcalc:not(.mc-card){background:none;max-width:none}
.matcalc-explorer .matcalc .mc-tall{max-height:none}
body[data-jp-theme-light="false"] .matcalc-explorer select{appearance:auto;background-image:none!important;
color-scheme:dark}
</style>"""
