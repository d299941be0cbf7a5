// Tells the server this browser's time zone, so that times are shown and typed in it. Without it everything is UTC.
(function () {
  "use strict";
  var zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || !/^[A-Za-z0-9_+\-\/]{1,64}$/.test(zone)) return;
  var secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = "prospo_time_zone=" + zone + "; path=/; max-age=31536000; samesite=lax" + secure;
})();
