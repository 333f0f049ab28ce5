// Starts everything.
const redraws = [costSection("accuracy", "classification"), costSection("downstream", "detection"), curvesSection()];
drawShares();

// Labels are placed in pixels: for another width they are placed anew.
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return;
  width = window.innerWidth;
  redraws.forEach((draw) => draw());
});

const source = new Blob([document.getElementById("datatables").textContent], { type: "text/javascript" });
const url = URL.createObjectURL(source);
const { default: DataTable } = await import(url);
URL.revokeObjectURL(url);
drawTables(DataTable);
document.documentElement.dataset.ready = "true";
