"""Detect."""
import streamlit as st
st.write("detect")
