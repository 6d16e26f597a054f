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
    const answer = await fetch("/_nodepass/session", { cache: "no-store" });
    if (answer.status === 401) location.reload();
  },
};

addEventListener("load", () => {
  const waiting = setInterval(() => {
    if (!window.socket) return;
    clearInterval(waiting);
    window.socket.on("connect_error", window.nodepass.comeBack);
    window.socket.on("disconnect", window.nodepass.comeBack);
  }, 100);
});
