"""Two front ends over `analysis` and `detector`: the web app and the `boxscope` command. No arithmetic."""
