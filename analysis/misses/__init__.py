"""Why an object was missed: replaying the detector on one image, trial changes, their prices,
sentences. (Not called `autopsy`: `from analysis import autopsy` is a public function, and a folder
of that name would hide it.)"""
