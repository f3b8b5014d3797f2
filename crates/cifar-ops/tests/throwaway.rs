#![allow(missing_docs)]
use candle_core::*;
use std::time::Instant;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap(); s.split(' ').next().unwrap().parse::<f64>().unwrap()/1e9 }
fn best(_reps: usize, mut f: impl FnMut()) -> f64 {
    f(); let t = Instant::now(); let c = cpu(); let mut n = 0;
    while t.elapsed().as_secs_f64() < 0.4 { f(); n += 1; }
    (cpu()-c)/n as f64
}
#[test]
fn mm() {
    let d = Device::Cpu;
    for (m, k, n) in [(64usize,576usize,256usize),(64,576,512),(64,576,1024),(64,576,4096),(64,576,16384),(128,1152,2048),(256,2304,512),(256,2304,2048),(64,16384,576),(64,4096,576),(576,64,4096),(1152,128,2048),(2304,256,512),(64,27,16384)] {
        let a = Tensor::randn(0f32, 1., (m,k), &d).unwrap();
        let b = Tensor::randn(0f32, 1., (k,n), &d).unwrap();
        let bp = Tensor::randn(0f32, 1., (k,n+16), &d).unwrap().narrow(1,0,n).unwrap();
        let bt = Tensor::randn(0f32, 1., (n,k), &d).unwrap();
        let btp = Tensor::randn(0f32, 1., (n,k+16), &d).unwrap().narrow(1,0,k).unwrap().t().unwrap();
        let ap = Tensor::randn(0f32, 1., (m,k+16), &d).unwrap().narrow(1,0,k).unwrap();
        let at = Tensor::randn(0f32, 1., (k,m), &d).unwrap();
        let fl = 2.0*(m*k*n) as f64;
        let t1 = best(20, || { a.matmul(&b).unwrap(); });
        let t1p = best(20, || { a.matmul(&bp).unwrap(); });
        let t2 = best(20, || { a.matmul(&bt.t().unwrap()).unwrap(); });
        let t2p = best(20, || { ap.matmul(&btp).unwrap(); });
        let t3 = best(20, || { at.t().unwrap().matmul(&b).unwrap(); });
        let t3p = best(20, || { at.t().unwrap().matmul(&bp).unwrap(); });
        println!("{m}x{k}x{n}: nn {:.0} padded {:.0} nt {:.0} padded {:.0} tn {:.0} padded {:.0} GFLOP/s", fl/t1/1e9, fl/t1p/1e9,fl/t2/1e9, fl/t2p/1e9, fl/t3/1e9, fl/t3p/1e9);
    }
}
