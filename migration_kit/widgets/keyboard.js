// Keys pressed inside a box belong to its controls: without this, JupyterLab takes "1", the arrows or Enter for
// commands to the notebook. Ctrl+S and the like go on to JupyterLab.
export function keep(event) {
  const command = (event.ctrlKey || event.metaKey || event.altKey) && event.key !== "Enter";
  if (!command) event.stopPropagation();
}

function mark(node, name, value) {
  if (node && node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// ipywidgets gives a slider's handle neither a name nor a rounded value: it gets those that stand beside it. And what
// is announced when it changes has to be marked before it does.
function tell(box, units) {
  for (const handle of box.querySelectorAll("[role=slider]")) {
    const slider = handle.closest(".jupyter-widgets");
    const label = slider?.querySelector(".widget-label");
    const readout = slider?.querySelector(".widget-readout");
    if (!label || !readout) continue;
    const name = label.title || label.textContent;
    mark(handle, "aria-label", name);
    mark(handle, "aria-valuetext", `${readout.textContent} ${units[name] || ""}`.trim());
    mark(readout, "role", "textbox");
    mark(readout, "aria-label", name);
  }
  for (const part of box.querySelectorAll(".mk-status .widget-html-content")) mark(part, "aria-live", "polite");
}

function render({ model, el }) {
  let box = null;
  let frame = 0;
  let lost = null;
  el.style.display = "none";
  // Sliders come after this, and write their value anew whenever it changes. A button that is switched off while it
  // works loses the keyboard, and gets it back unless that is elsewhere by then.
  const changed = (changes) => {
    for (const { target, attributeName } of changes) {
      if (attributeName !== "disabled") continue;
      if (target.disabled && target === document.activeElement) lost = target;
      else if (!target.disabled && target === lost) {
        if (document.activeElement === document.body) target.focus({ preventScroll: true });
        lost = null;
      }
    }
    tell(box, model.get("units"));
  };
  const watch = new MutationObserver(changed);
  const look = (tries) => {
    box = el.closest(".mk-keys");
    if (box) {
      box.addEventListener("keydown", keep);
      watch.observe(box, { subtree: true, childList: true, attributeFilter: ["aria-valuetext", "disabled"] });
      changed([]);
    } else if (tries > 0) frame = requestAnimationFrame(() => look(tries - 1));
  };
  look(600);
  return () => {
    cancelAnimationFrame(frame);
    watch.disconnect();
    if (box) box.removeEventListener("keydown", keep);
  };
}

export default { render };
