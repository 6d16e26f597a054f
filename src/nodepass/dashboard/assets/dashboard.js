// What the page does by itself: it comes back to the form that asks for the key when its session is over.
window.nodepass = {
  async signOut() {
    await fetch("/sign-out", { method: "POST", redirect: "manual" });
    location.reload();
  },
  keepTheme(theme) {
    document.cookie = `nodepass-theme=${theme}; path=/; max-age=31536000; samesite=strict`;
  },
  async comeBack() {
    // No answer: the master is away. The page tries by itself to reach it again, and then asks once more.
    const answer = await fetch("/_nodepass/session", { cache: "no-store" }).catch(() => null);
    if (answer && answer.status === 401) location.reload();
  },
};

const away = (isAway) => document.body.classList.toggle("np-away", isAway);

addEventListener("load", () => {
  const waiting = setInterval(() => {
    if (!window.socket) return;
    clearInterval(waiting);
    window.socket.on("connect_error", window.nodepass.comeBack);
    window.socket.on("disconnect", window.nodepass.comeBack);
    // What is shown is of the past from here on.
    window.socket.on("disconnect", () => away(true));
    window.socket.on("connect", () => away(false));
  }, 100);
});
