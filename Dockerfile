# README's two commands in a container. Build: docker build -t boxscope .
# Run, with your pictures readable and the runs kept; the app is then on http://localhost:8501 of this machine only:
#   docker run --rm -p 127.0.0.1:8501:8501 -v ~/pictures:/pictures:ro -v boxscope:/data boxscope
FROM python:3.12-slim-bookworm
WORKDIR /boxscope
COPY . .
RUN python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
ENV BOXSCOPE_HOME=/data
VOLUME /data
EXPOSE 8501
# Inside a container the app has to listen on its network; "-p 127.0.0.1:..." above keeps others out.
CMD [".venv/bin/streamlit", "run", "app", "--server.address", "0.0.0.0", "--server.headless", "true", "--", "--root", "/pictures"]
