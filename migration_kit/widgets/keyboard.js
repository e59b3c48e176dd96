// Keys pressed inside a box belong to its controls: without this, JupyterLab takes "1", the arrows or Enter for
// commands to the notebook. Ctrl+S and the like go on to JupyterLab.
export function keep(event) {
  const command = (event.ctrlKey || event.metaKey || event.altKey) && event.key !== "Enter";
  if (!command) event.stopPropagation();
}

function render({ el }) {
  let box = null;
  let frame = 0;
  el.style.display = "none";
  const look = (tries) => {
    box = el.closest(".mk-keys");
    if (box) box.addEventListener("keydown", keep);
    else if (tries > 0) frame = requestAnimationFrame(() => look(tries - 1));
  };
  look(600);
  return () => {
    cancelAnimationFrame(frame);
    if (box) box.removeEventListener("keydown", keep);
  };
}

export default { render };
