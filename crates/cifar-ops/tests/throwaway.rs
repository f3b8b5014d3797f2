#![allow(missing_docs, clippy::all)]
use candle_core::*;
use std::time::Instant;
fn cpu() -> f64 { let mut t = 0.0; for d in std::fs::read_dir("/proc/self/task").unwrap() { let s = std::fs::read_to_string(d.unwrap().path().join("schedstat")).unwrap(); t += s.split(' ').next().unwrap().parse::<f64>().unwrap()/1e9 } t }
fn best(reps: usize, mut f: impl FnMut()) -> f64 {
    f();
    let wall = std::env::var("WALL").is_ok();
    let mut b = f64::MAX;
    for _ in 0..reps { let t = Instant::now(); let c = cpu(); f(); b = b.min(if wall { t.elapsed().as_secs_f64() } else { cpu() - c }); }
    b
}
#[test]
fn perf() {
    let d = Device::Cpu;
    let only: Option<String> = std::env::var("ONLY").ok();
    for (n, c, k, hw, s, kk) in [(32usize,64usize,64usize,32usize,1usize,3usize),(32,128,128,16,1,3),(32,256,256,8,1,3),(32,3,64,32,1,3),(32,64,128,32,2,3),(32,64,128,32,2,1),(32,16,32,16,1,3)] {
        let p = kk/2;
        let x = Var::randn(0f32, 1., (n,c,hw,hw), &d).unwrap();
        let w = Var::randn(0f32, 1., (k,c,kk,kk), &d).unwrap();
        let dy = Tensor::randn(0f32, 1., (n,k,hw/s,hw/s), &d).unwrap();
        let fl = 2.0*(n*k*c*kk*kk*(hw/s)*(hw/s)) as f64;
        let par = cifar_ops::Conv2dParams{stride:s,padding:p};
        let reps: usize = std::env::var("REPS").ok().and_then(|r| r.parse().ok()).unwrap_or(20);
        let f = best(reps, || { cifar_ops::conv2d(&x, &w, None, par).unwrap(); });
        let fb = best(reps, || { let y = cifar_ops::conv2d(&x, &w, None, par).unwrap(); (y*&dy).unwrap().sum_all().unwrap().backward().unwrap(); });
        let z = Tensor::zeros((n,k,hw/s,hw/s), DType::F32, &d).unwrap();
        let zv = Var::from_tensor(&z).unwrap();
        let extra = best(reps, || { (zv.as_tensor()*&dy).unwrap().sum_all().unwrap().backward().unwrap(); });
        print!("N{n} {c}->{k} {hw} s{s} k{kk}: fwd {:.1} ms {:.0} GFLOP/s; fwd+bwd {:.1} ms {:.0} GFLOP/s (less {:.1} ms of loss)", f*1e3, fl/f/1e9, fb*1e3, 3.0*fl/(fb-extra)/1e9, extra*1e3);
        if only.is_none() {
        let f = best(reps.min(5), || { x.conv2d(&w, p, s, 1, 1).unwrap(); });
        let fb = best(reps.min(3), || { let y = x.conv2d(&w, p, s, 1, 1).unwrap(); (y*&dy).unwrap().sum_all().unwrap().backward().unwrap(); });
        println!("; candle fwd {:.1} ms {:.0} GFLOP/s; fwd+bwd {:.1} ms {:.0} GFLOP/s", f*1e3, fl/f/1e9, fb*1e3, 3.0*fl/(fb-extra)/1e9);
        } else { println!(); }
    }
}
